"""A ControlNet of pocket as a Control-LoRA: to learn one, and to write it.

``worker/models/controls/borrowing.py`` has the format, and loads one to serve it.
"""

import json
import math
from pathlib import Path
from typing import cast

from diffusers import UNet2DConditionModel
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from safetensors.torch import save_file
from torch import Tensor, nn

from training.variants.delta import adapt, trained
from worker.models.controls.borrowing import HINT, LAST_OUTLET, OUTLETS
from worker.models.controls.first_half import FirstHalf
from worker.models.controls.loading import BORROWING
from worker.models.loading.layout import CONFIG, NETWORK_STEM

# The encoder of maps halves them twice, as pocket's latents are a fourth of its pictures.
MAP_CHANNELS = (16, 32, 64)
# SiLU halves small signals: with it a map is as loud as the latents where it is added to them.
ENCODER_GAIN = 1.7


class ControlLora(nn.Module):
    """The first half of a UNet with trained changes of low rank, which reads a map; its answers are zero at first."""

    def __init__(self, unet: UNet2DConditionModel, rank: int) -> None:
        """Share the UNet's weights.

        Args:
            unet: frozen.
            rank: of the changes.
        """
        super().__init__()
        self.trunk = FirstHalf(unet, unet.config.in_channels)
        adapt(self.trunk.unet, rank, [])
        widths = self.trunk.widths
        self.encoder = ControlNetConditioningEmbedding(widths[0], block_out_channels=MAP_CHANNELS)
        # Zero outlets are enough to change nothing at first. Behind a zero encoder, as ControlNets have it, they would
        # learn from features without a map before the encoder learns at all.
        for name, parameter in self.encoder.named_parameters():
            fan_in = math.prod(parameter.shape[1:])
            nn.init.normal_(parameter, std=ENCODER_GAIN / math.sqrt(fan_in) if name.endswith("weight") else 0)
        self.outlets = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths)
        for outlet in self.outlets:
            for parameter in outlet.parameters():
                nn.init.zeros_(parameter)

    def forward(self, latents: Tensor, timesteps: Tensor, states: Tensor, maps: Tensor) -> tuple[Tensor, ...]:
        """What is added to each skip of the UNet, and then to its middle, each [B, c, h, w].

        Args:
            latents: [B, 8, h, w].
            timesteps: [B].
            states: of the text [B, L, D].
            maps: [B, 3, 4h, 4w] in [0, 1].
        """
        found = self.trunk(latents, timesteps, states, self.encoder(maps))
        return tuple(outlet(each) for outlet, each in zip(self.outlets, found, strict=True))


def followed(
    unet: nn.Module, control: nn.Module, x: Tensor, timesteps: Tensor, states: Tensor, maps: Tensor
) -> Tensor:
    """A denoiser's answer [B, 8, h, w] with the additions of a ControlNet."""
    *skips, middle = control(x, timesteps, states, maps)
    answer: Tensor = unet(
        x,
        timesteps,
        states,
        down_block_additional_residuals=tuple(skips),
        mid_block_additional_residual=middle,
    ).sample
    return answer


def export(control: ControlLora, folder: Path) -> None:
    """Write a ControlNet in fp16, as the service reads it."""
    tensors = trained(cast("UNet2DConditionModel", control.trunk.unet))
    own = {HINT + name: tensor for name, tensor in control.encoder.state_dict().items()}
    last = len(control.outlets) - 1
    for name, tensor in control.outlets.state_dict().items():
        number, _, kind = name.partition(".")
        own[(LAST_OUTLET if int(number) == last else f"{OUTLETS}{number}.") + kind] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    half = tensors | {name: tensor.detach().half().contiguous() for name, tensor in own.items()}
    save_file(half, folder / f"{NETWORK_STEM}.safetensors", metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps({"_class_name": BORROWING}, indent=2) + "\n")
