"""How well pictures were edited: measures against what the edit should have made."""

import torch
from torch import Tensor

FRAME_PX = 4
CLOSE = 10  # of 255


def psnr(made: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, [N].

    Args:
        made: pictures [N, 3, H, W] in [0, 1].
        truth: likewise.
        where: pixels that count, [N, 1, H, W], true for one at least of each; None for all.
    """
    error = (made - truth).square()
    weight = torch.ones_like(error) if where is None else where.expand_as(error).to(error.dtype)
    mean = (error * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
    return -10 * mean.clamp(min=1e-10).log10()


def frame_error(made: Tensor, truth: Tensor) -> Tensor:
    """How far the colour along the border is from the true one, in 1/255 of the worst channel, [N].

    Args:
        made: pictures [N, 3, H, W] in [0, 1].
        truth: likewise; more background than drawing within 4 pixels of their border.
    """
    return (_frame(made) - _frame(truth)).abs().amax(dim=1) * 255


def _frame(pictures: Tensor) -> Tensor:
    """The median of the outermost pixels by channel, [N, 3]."""
    inside = torch.zeros(pictures.shape[2:], dtype=torch.bool)
    inside[FRAME_PX:-FRAME_PX, FRAME_PX:-FRAME_PX] = True
    return pictures[:, :, ~inside].median(dim=2).values
