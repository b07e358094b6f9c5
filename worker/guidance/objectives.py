"""The losses of guidance. Each falls as the picture comes closer to its objective."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from jobs.requests.presets import PixelProperty
from worker.guidance.cutouts import Cutouts


def spherical_distance(x: Tensor, y: Tensor) -> Tensor:
    """Half of the squared angle between unit vectors: 2 arcsin(|x - y| / 2)^2 = theta^2 / 2.

    Introduced with CLIP guidance by Katherine Crowson (CLIP Guided Diffusion, 2021). Unlike the cosine, its gradient
    does not vanish for vectors that point away from each other.

    Args:
        x: unit vectors [..., E].
        y: unit vectors that broadcast against ``x``.

    Returns:
        [...] in radians squared.
    """
    # The norm's gradient is undefined at zero, where a picture equals its target; the floor keeps it finite.
    half_chord = (x - y).square().sum(dim=-1).clamp(min=1e-12).sqrt() / 2
    return 2 * half_chord.clamp(max=1 - 1e-6).arcsin().square()


def total_variation(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, on the scale [-1, 1] (Crowson 2021, after Mahendran & Vedaldi).

    Args:
        pictures: [B, 3, H, W], nominally in [0, 1].

    Returns:
        [B].
    """
    padded = F.pad(2 * pictures - 1, (0, 1, 0, 1), mode="replicate")
    across = padded[..., :-1, 1:] - padded[..., :-1, :-1]
    down = padded[..., 1:, :-1] - padded[..., :-1, :-1]
    return (across.square() + down.square()).mean(dim=(1, 2, 3))


def out_of_range(pictures: Tensor) -> Tensor:
    """Mean squared excess over black and white, on the scale [-1, 1] (Crowson 2021); arguments as above."""
    return _excess(pictures).square().mean(dim=(1, 2, 3))


def saturation(pictures: Tensor) -> Tensor:
    """Mean absolute excess over black and white, on the scale [-1, 1] (Disco Diffusion); arguments as above."""
    return _excess(pictures).abs().mean(dim=(1, 2, 3))


def _excess(pictures: Tensor) -> Tensor:
    scaled = 2 * pictures - 1
    return scaled - scaled.clamp(-1, 1)


PIXEL_LOSSES: dict[PixelProperty, Callable[[Tensor], Tensor]] = {
    "tv": total_variation,
    "range": out_of_range,
    "saturation": saturation,
}


@dataclass(frozen=True)
class SphericalLoss:
    """Spherical distance from a target: the embedding of a text or a picture, or an aesthetic embedding."""

    target: Tensor  # [1, E], unit

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Losses [N] of unit vectors [N, E]."""
        return spherical_distance(embeddings, self.target.to(embeddings))


@dataclass(frozen=True)
class AestheticLoss:
    """Distance from the best score of an aesthetic predictor, whose scores range from about 1 to 10."""

    head: Callable[[Tensor], Tensor]  # unit vectors [N, E] to scores [N], on their device

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Losses [N] of unit vectors [N, E]: 0 for a score of 10."""
        return 1 - self.head(embeddings) / 10


@dataclass(frozen=True)
class ClipTerm:
    """A term of the loss, of the embeddings of a CLIP."""

    objective: int  # its number in the request
    weight: float
    loss: SphericalLoss | AestheticLoss


@dataclass(frozen=True)
class PixelTerm:
    """A term of the loss, of the pixels alone."""

    objective: int
    weight: float
    property: PixelProperty


@dataclass(frozen=True)
class ClipTerms:
    """The terms of one CLIP, and the cutouts of the picture that it embeds for them."""

    clip: str
    cutouts: Cutouts
    terms: tuple[ClipTerm, ...]


@dataclass(frozen=True)
class Loss:
    """The loss of a picture at one step: the weighted sum of all terms."""

    clip_terms: tuple[ClipTerms, ...]  # one for each CLIP
    pixel_terms: tuple[PixelTerm, ...] = ()
    reduction: Literal["mean", "sum"] = "mean"  # over the cutouts of a CLIP
    blur: float = 0.0  # of the gradient of what CLIPs see: standard deviation, as a share of the shorter side

    @property
    def clips(self) -> tuple[str, ...]:
        """Ids of the CLIPs that guide."""
        return tuple(terms.clip for terms in self.clip_terms)

    @property
    def divided(self) -> tuple["Loss | None", "Loss | None"]:
        """The terms of what is looked at, and those of the estimate x0 alone; None for none.

        A method may look at a blend of the estimate and the noisy picture. Only of the estimate it makes sense to ask
        that it be within the range of pixels (Crowson 2021): the noise is beyond it.
        """
        of_estimate = tuple(term for term in self.pixel_terms if term.property == "range")
        if not of_estimate:
            return self, None
        others = tuple(term for term in self.pixel_terms if term.property != "range")
        seen = replace(self, pixel_terms=others) if self.clip_terms or others else None
        return seen, replace(self, clip_terms=(), pixel_terms=of_estimate)
