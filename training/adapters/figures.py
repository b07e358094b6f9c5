"""What pictures say of an adapter, over embeddings of any CLIP: style, subject, colour."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def centroids(features: Tensor, labels: Sequence[str], order: Sequence[str]) -> Tensor:
    """The mean direction of each label's embeddings.

    Args:
        features: unit vectors [N, D].
        labels: of each, [N].
        order: the labels of the result.

    Returns:
        Unit vectors [len(order), D].
    """
    means = [features[torch.tensor([label == wanted for label in labels])].mean(dim=0) for wanted in order]
    return F.normalize(torch.stack(means), dim=1)


def picked(features: Tensor, centres: Tensor, answer: int) -> float:
    """Share of unit vectors [N, D] whose nearest centroid of [K, D] has this number."""
    return float(((features @ centres.T).argmax(dim=1) == answer).float().mean())


def told(features: Tensor, drawings: Sequence[Tensor], answers: Sequence[int]) -> float:
    """Share of unit vectors [N, D] that are nearest to the right one of the drawings of their thing in several styles.

    Args:
        features: of pictures.
        drawings: for each picture, unit vectors [K, D] of the true drawings of its thing.
        answers: for each picture, which of them is right.
    """
    nearest = [int((its @ feature).argmax()) for feature, its in zip(features, drawings, strict=True)]
    return sum(near == right for near, right in zip(nearest, answers, strict=True)) / len(nearest)


def margin(features: Tensor, centres: Tensor, answer: int) -> float:
    """By how much unit vectors [N, D] are more similar to one centroid of [K, D] than to the others, in the mean."""
    similar = (features @ centres.T).mean(dim=0)
    others = torch.cat([similar[:answer], similar[answer + 1 :]])
    return float(similar[answer] - others.mean())


def between(features: Tensor, first: Tensor, second: Tensor) -> float:
    """Where the mean of unit vectors [N, D] lies on the line from one centroid [D] (0) to another (1)."""
    line = second - first
    return float((features.mean(dim=0) - first) @ line / (line @ line))


def saturation(pictures: Tensor) -> float:
    """The mean over pixels of the greatest minus the least channel; of pictures [N, 3, H, W] in [0, 1]."""
    return float((pictures.amax(dim=1) - pictures.amin(dim=1)).mean())
