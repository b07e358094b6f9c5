"""A ControlNet that trains against the denoiser that it is a half of, and against what its file is to the service."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from jobs.catalog.controls import ControlCard
from training.settings import models_folder
from training.variants.control_lora import ControlLora, export, followed
from training.variants.edges import edges_of
from worker.canvas import canvas_of
from worker.models.controls.control import Base, UNetCall
from worker.models.controls.loading import load_control
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings

RANK = 4


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    network = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    network.requires_grad_(False)
    return network


def _inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    maps = torch.randint(0, 2, (2, 1, 64, 64), generator=rng).float().expand(-1, 3, -1, -1)
    x, states = torch.randn(2, 8, 16, 16, generator=rng), torch.randn(2, 7, 192, generator=rng)
    return x, torch.tensor([10, 900]), states, maps


def _learned(unet: UNet2DConditionModel) -> ControlLora:
    """What training could have made of it, in fp16's grid."""
    control, rng = ControlLora(unet, RANK), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in control.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.02)
                parameter.copy_(parameter.half())
    return control.eval()


@torch.no_grad()
def test_at_first_it_changes_nothing(unet: UNet2DConditionModel) -> None:
    x, t, states, maps = _inputs()
    control = ControlLora(unet, RANK).eval()
    assert torch.equal(followed(unet, control, x, t, states, maps), unet(x, t, states).sample)


def test_only_its_own_tensors_learn(unet: UNet2DConditionModel) -> None:
    control = _learned(unet)
    followed(unet, control, *_inputs()).square().sum().backward()
    own = {name for name, _ in control.named_parameters() if not name.startswith("trunk.")}
    factors = {name for name, _ in control.named_parameters() if name.rpartition(".")[2].startswith("lora_")}
    moved = {name for name, parameter in control.named_parameters() if parameter.grad is not None}
    assert moved == own | factors
    assert all(parameter.grad is None for parameter in unet.parameters())


@torch.no_grad()
def test_the_service_adds_with_the_file_what_was_trained(unet: UNet2DConditionModel, tmp_path: Path) -> None:
    control = _learned(unet)
    export(control, tmp_path / "edges")
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    loaded = load_control(ControlCard(id="edges", path=tmp_path / "edges"), device, Digests())
    loaded.require_fit(Base(unet, latent_channels=8, latent_factor=4))
    x, t, states, maps = _inputs()
    read = loaded.read([canvas_of((255 * each).to(torch.uint8)) for each in maps])
    theirs = loaded.additions(UNetCall(unet, x, t, states), read)
    ours = control(x, t, states, maps)
    assert len(ours) == len(theirs)
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.abs().max() > 0.01
        assert (mine - its).abs().max() < 2e-4 * mine.abs().max()


def test_the_edges_of_a_square_are_its_outline() -> None:
    picture = torch.full((3, 32, 32), -1.0)
    picture[:, 8:24, 8:24] = 1
    edges = torch.from_numpy(edges_of(picture.numpy()))
    outline = torch.zeros(32, 32, dtype=torch.bool)
    outline[7:25, 7:25] = True
    outline[10:22, 10:22] = False
    assert bool(edges.any(dim=1)[8:24].all())
    assert not bool((edges & ~outline).any())
