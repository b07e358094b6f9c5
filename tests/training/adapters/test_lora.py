"""The file of a trained adapter against the UNet that it was trained in, as the service and diffusers read it."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from tests.worker.models.families import checkpoints
from training.adapters.lora import About, export
from training.variants.delta import adapt
from worker.models.adapters.adaptations import Adaptations
from worker.models.adapters.description import described
from worker.models.adapters.files import UNET
from worker.models.adapters.loading import read_adapter
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.models.loading.layout import ADAPTER_WEIGHTS
from worker.rows import AdapterUse
from worker.settings import WorkerSettings

RANK = 3
ABOUT = About("Ink drawings", "ink", "MIT")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.written(
        lambda: checkpoints.stable_diffusion(prediction_type="epsilon"),
        tmp_path_factory.mktemp("tiny") / "sd",
    )


@pytest.fixture(scope="module")
def base(folder: Path) -> UNet2DConditionModel:
    unet = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    unet.requires_grad_(False)
    return unet


@pytest.fixture(scope="module")
def learned(base: UNet2DConditionModel) -> UNet2DConditionModel:
    """A UNet whose factors are what training could have made of them, in fp16's grid."""
    unet = deepcopy(base)
    adapt(unet, RANK, [])
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.1)
                parameter.copy_(parameter.half())
    return unet


@pytest.fixture(scope="module")
def file(learned: UNet2DConditionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ink")
    export(learned, target, ABOUT)
    return target / ADAPTER_WEIGHTS[0]


def _inputs(unet: UNet2DConditionModel) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(2, unet.config.in_channels, 16, 16, generator=rng)
    return x, torch.tensor([10, 900]), torch.randn(2, 5, unet.config.cross_attention_dim, generator=rng)


@torch.no_grad()
def test_the_service_computes_with_the_file_what_was_trained(
    base: UNet2DConditionModel, learned: UNet2DConditionModel, file: Path
) -> None:
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    adapter = read_adapter("ink", file.parent, device, Digests())
    adaptations = Adaptations({UNET: base}, torch.device("cpu"), torch.float32)
    mixture = adaptations.of_rows(UNET, [[AdapterUse("ink", 1.0)]] * 2, lambda _: adapter)
    assert mixture is not None
    inputs = _inputs(base)
    ours = adaptations.run(UNET, mixture, *inputs).sample
    theirs = learned(*inputs).sample
    assert (ours - theirs).abs().max() < 2e-4 * theirs.abs().max()
    assert (theirs - base(*inputs).sample).abs().max() > 0.05


@torch.no_grad()
def test_diffusers_computes_with_the_file_what_was_trained(
    folder: Path, learned: UNet2DConditionModel, file: Path
) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="ink")
    inputs = _inputs(pipeline.unet)
    theirs = learned(*inputs).sample
    assert (pipeline.unet(*inputs).sample - theirs).abs().max() < 2e-4 * theirs.abs().max()


def test_the_header_says_what_it_is(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    said = described(metadata)
    assert (said.title, said.triggers, said.licence) == ("Ink drawings", ("ink",), "MIT")
    assert json.loads(metadata["lora_adapter_metadata"])["unet.r"] == RANK
