"""A tiny Stable Diffusion with ControlNets of random numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from safetensors.torch import save_file
from torch import Tensor, nn

from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.catalog.models import ModelCard
from tests.worker.models.families import checkpoints
from worker.models.controls.first_half import FirstHalf
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


def control_lora(unet: Any, seed: int, factor: int, rank: int = 2) -> dict[str, Tensor]:
    """The tensors of a Control-LoRA of random numbers, in the format of ``borrowing``."""
    rng = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(shape, generator=rng)

    half = FirstHalf(unet, unet.config.in_channels)
    tensors = {}
    for name, layer in half.unet.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            out, *ins = layer.weight.shape
            tensors[f"{name}.lora_A.weight"] = random(rank, *ins, scale=0.1)
            tensors[f"{name}.lora_B.weight"] = random(out, rank, *[1] * (len(ins) - 1), scale=0.2)
    tensors["conv_in.bias"] = random(half.widths[0], scale=0.2)
    for number, width in enumerate(half.widths):
        name = f"controlnet_down_blocks.{number}" if number + 1 < len(half.widths) else "controlnet_mid_block"
        tensors[f"{name}.weight"] = random(width, width, 1, 1, scale=0.3)
        tensors[f"{name}.bias"] = random(width, scale=0.1)
    channels = tuple(8 * (level + 1) for level in range(factor.bit_length()))
    hint = ControlNetConditioningEmbedding(half.widths[0], 3, channels)
    last = hint.conv_out.weight
    for name, tensor in hint.state_dict().items():
        random_ones = random(*tensor.shape, scale=0.3 if tensor.shape == last.shape else 0.1)
        tensors[f"controlnet_cond_embedding.{name}"] = random_ones
    return tensors


def merged(unet: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the UNet's first half with a Control-LoRA's changes."""
    own: dict[str, Tensor] = FirstHalf(unet, unet.config.in_channels).unet.state_dict()
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".lora_A.")
        if layer:
            up = tensors[f"{layer}.lora_B.weight"].flatten(1)
            own[f"{layer}.{kind}"] = own[f"{layer}.{kind}"] + (up @ tensor.flatten(1)).view(
                len(up), *tensor.shape[1:]
            )
    return own | {name: tensor for name, tensor in tensors.items() if name in own}


def described(folder: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    """A folder with a Control-LoRA."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"_class_name": "ControlLora", **config}))
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return folder


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
