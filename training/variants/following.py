"""Draws with pocket and with ControlNets, as the service runs them, to measure how well maps are followed."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from jobs.catalog.controls import ControlCard
from training.settings import models_folder
from training.variants.evaluate_inpaint import AT_ONCE
from training.variants.fill import Texts
from training.variants.inpaint_data import load_vae
from training.variants.mapped import Mapped, drawn
from worker.canvas import canvas_of
from worker.models.controls.control import Base, UNetCall
from worker.models.controls.loading import load_control
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings

STEPS = 25
SCALE = 4.0


class Served(nn.Module):
    """A ControlNet as the service runs it, called as the one that trains."""

    def __init__(self, folder: Path, unet: UNet2DConditionModel) -> None:
        super().__init__()
        device = Device(WorkerSettings(device="cpu", dtype="fp32"))
        self._control = load_control(ControlCard(id=folder.name, path=folder), device, Digests())
        self._control.require_fit(Base(unet, latent_channels=8, latent_factor=4))
        self._unet = [unet]  # in a list, so that it is not a part of this

    def forward(self, latents: Tensor, timesteps: Tensor, states: Tensor, maps: Tensor) -> tuple[Tensor, ...]:
        read = self._control.read([canvas_of((255 * each).round().to(torch.uint8)) for each in maps])
        return self._control.additions(UNetCall(self._unet[0], latents, timesteps, states), read)


class Both(nn.Module):
    """Two ControlNets at once, whose additions are summed; each has three channels of the maps, in their order."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self._both = nn.ModuleList([first, second])

    def forward(self, latents: Tensor, timesteps: Tensor, states: Tensor, maps: Tensor) -> tuple[Tensor, ...]:
        pairs = zip(self._both, maps.chunk(2, dim=1), strict=True)
        answers = [control(latents, timesteps, states, its) for control, its in pairs]
        return tuple(one + other for one, other in zip(*answers, strict=True))


class Follower:
    """Pocket, with and without ControlNets."""

    def __init__(self, steps: int = STEPS) -> None:
        """Load the networks.

        Args:
            steps: of a picture.
        """
        self._vae, self._texts, self._steps = load_vae(), Texts(), steps
        self.unet = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()

    def draw(self, mapped: Mapped, control: nn.Module | None = None) -> Tensor:
        """Pictures [N, 3, 64, 64] in [0, 1]."""
        latents = drawn(self.unet, control, mapped, self._texts, steps=self._steps, cfg_scale=SCALE)
        return decoded(self._vae, latents)

    def true(self, mapped: Mapped) -> Tensor:
        """The drawings through the autoencoder, likewise: the best that any denoiser can draw."""
        return decoded(self._vae, mapped.x0)


@torch.no_grad()
def decoded(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures [N, 3, 64, 64] in [0, 1] of latents [N, 8, 16, 16]."""
    made = torch.cat([vae.decode(part).sample for part in latents.split(AT_ONCE)])
    return (made / 2 + 0.5).clamp(0, 1)
