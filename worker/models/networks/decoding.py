"""A VAE's decoder, in a number format in which its pictures are finite."""

import copy
from typing import Any

import structlog
import torch
from torch import Tensor

log = structlog.get_logger(__name__)


class Decoder:
    """Latents to pictures. In fp16 some VAEs overflow; then they are run in fp32.

    bf16 would hold the numbers as well, but not the colours: it has 8 bits for those that a picture needs 8 bits of.

    Attributes:
        vae: in the format that it is run in. Another model's VAE of the same files keeps its own.
    """

    def __init__(self, vae: Any) -> None:
        """Keep the format of the VAE's weights, unless its configuration says that fp16 is too narrow."""
        self.vae = vae
        if _is_said_to_overflow(vae.config):
            self.widen()

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""
        scaled = latents.to(self.vae.device, self.vae.dtype) / self.vae.config.scaling_factor
        picture: Tensor = self.vae.decode(scaled, return_dict=False)[0]
        return picture / 2 + 0.5

    def widen(self) -> bool:
        """Go over from fp16 to fp32; whether that changed anything."""
        if self.vae.dtype != torch.float16:
            return False
        log.warning("a VAE is run in fp32, since it overflows in fp16")
        # A copy, since models with the same files have it in common.
        self.vae = torch.nn.Module.to(copy.deepcopy(self.vae), dtype=torch.float32)
        return True


def _is_said_to_overflow(config: Any) -> bool:
    """Whether the file itself says so: diffusers' default, for files that do not, says it of every VAE."""
    return bool(config.get("force_upcast")) and "force_upcast" not in config.get("_use_default_values", ())
