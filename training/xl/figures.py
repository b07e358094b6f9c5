"""What stated sizes and cuts change in pictures, in numbers."""

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
STRAY = 0.1  # what a decoded background may differ from its colour


def laplacian_energy(pictures: Tensor) -> Tensor:
    """Mean square of the Laplacian of the luma: the sharper, the more.

    Args:
        pictures: [N, 3, H, W] in [0, 1].

    Returns:
        [N].
    """
    luma = (pictures * pictures.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    kernel = pictures.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    energy: Tensor = F.conv2d(luma, kernel[None, None]).square().mean(dim=(1, 2, 3))
    return energy


def centroids(pictures: Tensor, background: float = 1.0) -> Tensor:
    """Where the drawings lie: the mean place of what is not background, each pixel by how much it differs.

    Args:
        pictures: [N, 3, H, W] in [0, 1].
        background: its colour, a grey; 1 is white.

    Returns:
        Rows and columns [N, 2] in pixels; NaN for a picture of background alone.
    """
    weight = ((pictures - background).abs().amax(dim=1) - STRAY).clamp(min=0)
    rows, columns = (
        torch.arange(size, dtype=pictures.dtype, device=pictures.device) for size in weight.shape[1:]
    )
    places = torch.stack([(weight * rows[:, None]).sum((1, 2)), (weight * columns).sum((1, 2))], dim=1)
    return places / weight.sum(dim=(1, 2))[:, None]


def follows(cuts: Tensor, places: Tensor) -> tuple[float, float]:
    """How far drawings move with what is cut.

    Args:
        cuts: of each column, in pixels [M].
        places: of N drawings at each cut [N, M], in pixels.

    Returns:
        The slope of the least squares in pixels per pixel, and the correlation, both over all drawings, each taken
        relative to its mean place.
    """
    x = (cuts - cuts.mean()).expand_as(places)
    y = places - places.mean(dim=1, keepdim=True)
    product = (x * y).sum()
    return float(product / x.square().sum()), float(product / (x.square().sum() * y.square().sum()).sqrt())
