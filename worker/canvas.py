"""A picture at the size of the one to be made: what a run starts from."""

from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Paste:
    """What a result is pasted into.

    Attributes:
        whole: uint8 [3, H, W].
        box: left, top, right and bottom of the result's place in it.
        opacity: of the result there, float32 [1, h, w] in [0, 1].
    """

    whole: Tensor
    box: tuple[int, int, int, int]
    opacity: Tensor

    def over(self, made: Tensor) -> Tensor:
        """The whole picture with a result [3, h', w'] in [0, 1] in its place, [3, H, W] in [0, 1].

        Where the opacity is 0, the levels are the whole's own.
        """
        left, top, right, bottom = self.box
        size = bottom - top, right - left
        if made.shape[1:] != size:
            made = F.interpolate(made[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        pixels, opacity = self.whole.to(made.device).float() / 255, self.opacity.to(made.device)
        place = pixels[:, top:bottom, left:right]
        place.copy_(torch.where(opacity > 0, opacity * made + (1 - opacity) * place, place))
        return pixels


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture of the size of the one to be made.

    Attributes:
        pixels: uint8 [3, H, W].
        digest: SHA-256 of size and pixels.
        mask: of what is painted anew, from 0 (kept) to 255, uint8 [1, H, W]; None for all of it.
        paste: what the result is pasted into; None if it is the picture.
        hidden: which pixels are not shown, bool [1, H, W]; None for none.
    """

    pixels: Tensor
    digest: str
    mask: Tensor | None = None
    paste: Paste | None = None
    hidden: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        """Of the pixels, [3, H, W]."""
        return self.pixels.shape

    def levels(self, device: torch.device) -> Tensor:
        """What is shown, float32 [3, H, W] in [0, 1] on a device; what is hidden is mid-grey, as no pixel can be."""
        levels = self.pixels.to(device).float() / 255
        return levels if self.hidden is None else levels.masked_fill(self.hidden.to(device), 0.5)

    def masked(self) -> "Canvas":
        """The same without what is to be painted anew."""
        hidden = torch.ones_like(self.pixels[:1]) if self.mask is None else self.mask
        shown = canvas_of(self.pixels.masked_fill(hidden > 0, 0), self.mask)
        digest = sha256(shown.digest.encode() + (hidden > 0).numpy().tobytes()).hexdigest()
        return replace(shown, digest=digest, hidden=hidden > 0)


def canvas_of(pixels: Tensor, mask: Tensor | None = None, paste: Paste | None = None) -> Canvas:
    """The canvas of pixels, uint8 [3, H, W]."""
    named = bytes(str(tuple(pixels.shape)), "ascii") + pixels.numpy().tobytes()
    return Canvas(pixels, sha256(named).hexdigest(), mask, paste)
