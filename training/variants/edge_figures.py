"""How well a picture follows a map of edges."""

from torch import Tensor
from torch.nn import functional as F

TOLERANCE_PX = 2


def edge_f1(made: Tensor, wanted: Tensor, tolerance_px: int = TOLERANCE_PX) -> float:
    """The mean over pictures of F1, the harmonic mean of precision and recall.

    An edge counts as right with an edge of the other map within the tolerance across, down or both. A picture without
    edges has 0, unless none are wanted.

    Args:
        made: edges of pictures [N, H, W], true or false.
        wanted: of their maps, likewise.
        tolerance_px: across and down.
    """
    made, wanted = made.float(), wanted.float()
    precision = _share(made * _grown(wanted, tolerance_px), made)
    recall = _share(wanted * _grown(made, tolerance_px), wanted)
    return float((2 * precision * recall / (precision + recall).clamp(min=1e-9)).mean())


def _grown(edges: Tensor, by_px: int) -> Tensor:
    return F.max_pool2d(edges[:, None], 2 * by_px + 1, stride=1, padding=by_px)[:, 0]


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Of the edges of each picture; 1 if there are none."""
    count = whole.sum(dim=(1, 2))
    return (part.sum(dim=(1, 2)) + (count == 0)) / count.clamp(min=1)
