"""A VAE's decoder, in a number format in which its pictures are finite."""

import copy
from collections import deque
from typing import Any

import structlog
import torch
from torch import Tensor

from worker.readback import Readback

log = structlog.get_logger(__name__)


class Decoder:
    """Latents to pictures. In fp16 some VAEs overflow; from the next picture on they are run in fp32.

    The picture that overflowed is lost, and no call waits for the device to learn of it: whoever finds that a picture
    is not finite decodes it once more.

    bf16 would hold the numbers as well, but not the colours: it has 8 bits for those that a picture needs 8 bits of.

    Attributes:
        vae: in the format that it is run in. Another model's VAE of the same files keeps its own.
    """

    def __init__(self, vae: Any) -> None:
        """Keep the format of the VAE's weights, unless its configuration says that fp16 is too narrow."""
        self.vae = vae
        self._overflows: deque[Readback] = deque()  # whether the latest calls overflowed
        if _is_said_to_overflow(vae.config):
            self.widen()

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] to pictures [B, 3, H, W], nominally in [0, 1] but not clamped; differentiable."""
        while self._overflows and self._overflows[0].is_here:
            if self._overflows.popleft().values[0]:
                self.widen()
        scaled = latents.to(self.vae.device, self.vae.dtype) / self.vae.config.scaling_factor
        picture: Tensor = self.vae.decode(scaled, return_dict=False)[0]
        if self.is_narrow:
            # Of latents that are not finite themselves no format makes a picture.
            overflowed = (_finite(latents) & ~_finite(picture)).any()
            self._overflows.append(Readback(overflowed[None]))
        return picture / 2 + 0.5

    @property
    def is_narrow(self) -> bool:
        """Whether the format is one that a VAE may overflow in."""
        return bool(self.vae.dtype == torch.float16)

    def widen(self) -> bool:
        """Go over from fp16 to fp32; whether that changed anything."""
        self._overflows.clear()
        if not self.is_narrow:
            return False
        log.warning("a VAE is run in fp32, since it overflows in fp16")
        # A copy, since models with the same files have it in common.
        self.vae = torch.nn.Module.to(copy.deepcopy(self.vae), dtype=torch.float32)
        return True


def _finite(values: Tensor) -> Tensor:
    """Whether each of some pictures or latents [B, ...] is finite, [B]."""
    return values.detach().flatten(1).isfinite().all(dim=1)


def _is_said_to_overflow(config: Any) -> bool:
    """Whether the file itself says so: diffusers' default, for files that do not, says it of every VAE."""
    return bool(config.get("force_upcast")) and "force_upcast" not in config.get("_use_default_values", ())
