"""Pictures that flatter a CLIP and show nothing: changes along its gradient, and a mush of colours that it likes.

Guidance follows such gradients; a judge that they fool cannot tell guidance that is real from guidance that flatters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from worker.models.clip import ClipModel

MUSH_PX = 8
MUSH_RATE = 0.08
VIEW_SCALE = 0.12


def attacked(
    pictures: Tensor, targets: Tensor, clip: ClipModel, reach: Tensor, px: int, steps: int = 2
) -> Tensor:
    """Pictures changed so that a CLIP finds another text in them (projected gradient, Madry 2018).

    Args:
        pictures: [N, 3, H, W] in [-1, 1].
        targets: unit vectors of the texts to find, [N, E].
        clip: whose gradient is followed.
        reach: the most that a pixel changes, [N].
        px: resolution of the change; a coarse one is smooth, as guidance through a decoder is.
        steps: of the gradient's sign.
    """
    reach = reach.view(-1, 1, 1, 1)
    change = torch.zeros(len(pictures), 3, px, px)
    for _ in range(steps):
        change.requires_grad_()
        gradient = torch.autograd.grad(
            _agreement(pictures + _enlarged(change, pictures), targets, clip), change
        )[0]
        change = (change.detach() + gradient.sign() * reach * 1.5 / steps).clamp(-reach, reach)
    return (pictures + _enlarged(change, pictures)).clamp(-1, 1)


def mush(clips: Sequence[tuple[ClipModel, Tensor]], steps: int, rng: torch.Generator) -> Tensor:
    """8 x 8 colours that CLIPs find texts in, with no other model: the floor of every judge.

    Args:
        clips: each with the unit vectors of the texts, [N, E].
        steps: of Adam.
        rng: of the start and of the views.

    Returns:
        [N, 3, 64, 64] in [-1, 1].
    """
    count = len(clips[0][1])
    colours = (0.2 * torch.randn(count, 3, MUSH_PX, MUSH_PX, generator=rng)).requires_grad_()
    optimizer = torch.optim.Adam([colours], lr=MUSH_RATE)
    for _ in range(steps):
        picture = F.interpolate(colours, (64, 64), mode="bicubic", align_corners=False)
        view = _viewed(picture, rng)
        agreement = torch.stack([_agreement(view, wanted, clip) for clip, wanted in clips]).sum()
        beyond = (picture.abs() - 1).clamp(min=0).square().mean()
        optimizer.zero_grad()
        (beyond * count - agreement).backward()
        optimizer.step()
    return F.interpolate(colours.detach(), (64, 64), mode="bicubic", align_corners=False).clamp(-1, 1)


def _enlarged(change: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(change, like.shape[-2:], mode="bilinear", align_corners=False)


def _agreement(pictures: Tensor, targets: Tensor, clip: ClipModel) -> Tensor:
    """The sum of the similarities of pictures in [-1, 1] to texts."""
    sized = F.interpolate(pictures / 2 + 0.5, (clip.px, clip.px), mode="bilinear", antialias=True)
    return (clip.embed(sized) * targets).sum()


def _viewed(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Each a little larger or smaller and shifted, so that no single pixel carries the agreement."""
    u = torch.rand(len(pictures), 3, generator=rng) * 2 - 1
    scale, zero = 1 + VIEW_SCALE * u[:, 0], torch.zeros(len(pictures))
    rows = [
        torch.stack([scale, zero, VIEW_SCALE * u[:, 1]], -1),
        torch.stack([zero, scale, VIEW_SCALE * u[:, 2]], -1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
