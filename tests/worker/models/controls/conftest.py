"""A tiny Stable Diffusion with ControlNets of random numbers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.catalog.controls import ControlCard
from tests.worker.models.families import checkpoints
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

PX = 32


def control(unet: Any, seed: int, **config: Any) -> ControlNetModel:
    """A ControlNet of a UNet whose layers that begin at zero are random."""
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    network.register_to_config(**config)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            layer.weight.copy_(0.3 * torch.randn(layer.weight.shape, generator=rng))
        last = network.controlnet_cond_embedding.conv_out
        last.weight.copy_(torch.randn(last.weight.shape, generator=rng))
    return network


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model, and three controls: one of them reads blue, green and red, another is of a wider UNet."""
    root = tmp_path_factory.mktemp("controlled")
    found = {
        "tiny": checkpoints.written(
            lambda: checkpoints.stable_diffusion(prediction_type="epsilon"), root / "sd"
        )
    }
    unet = UNet2DConditionModel.from_pretrained(found["tiny"], subfolder="unet")
    wider = checkpoints.unet(block_out_channels=(32, 96))
    networks = {
        "edges": control(unet, 1),
        "turned": control(unet, 2, controlnet_conditioning_channel_order="bgr"),
        "wider": control(wider, 3),
    }
    for name, network in networks.items():
        network.save_pretrained(root / name)
        found[name] = root / name
    return found


@pytest.fixture(scope="session")
def controlled(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    """The tiny model and the controls, beside the shipped CLIPs."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "cfg_scale": 5}
    model = ModelCard.model_validate({"id": "tiny", "path": folders["tiny"], "clip": "pocket-m", **size})
    controls = tuple(ControlCard(id=name, path=path) for name, path in folders.items() if name != "tiny")
    catalog = Catalog(models=(model,), clips=pocket_catalog.clips, controls=controls)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
