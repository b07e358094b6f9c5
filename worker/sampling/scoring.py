"""Finished pictures and their scores, from the image features of CLIPs."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from worker.calls import DECODINGS, Decode, EmbedImage, EmbedText
from worker.events import Yield
from worker.facts import ClipFacts, Facts
from worker.finite import require_finite
from worker.raster import Raster
from worker.sampling.inputs import SamplerInputs


@dataclass(frozen=True)
class Scores:
    """The scores of one picture.

    Attributes:
        clip_score: cosine similarity to the prompt, by the scorer.
        aesthetic_score: by the aesthetic scorer's predictor; None without one.
        embedding: unit vector [E] of the aesthetic scorer's space; None without an aesthetic scorer.
    """

    clip_score: float
    aesthetic_score: float | None = None
    embedding: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """A finished picture.

    Attributes:
        pixels: [3, H, W] in [0, 1], on the device.
        raster: its copy in 8 bits.
        features: of the scorer, [1, E].
    """

    pixels: Tensor
    raster: Raster
    features: Tensor


def drawn(model: str, latents: Tensor, inputs: SamplerInputs) -> Generator[Yield, Any, Drawn]:
    """The picture of finished latents [1, C, h, w]; decoded once more if it is not finite, see ``Decode``."""
    for _ in range(DECODINGS):
        decoded: Tensor = yield Decode(model, latents)
        pixels = pasted(decoded, inputs)
        raster = Raster(pixels)  # leaves the device while the picture is scored there
        picture = Drawn(pixels, raster, (yield EmbedImage(inputs.scorer, pixels)))
        # Not before: the features had to be waited for anyway.
        if raster.is_finite:
            break
    return picture


def pasted(pixels: Tensor, inputs: SamplerInputs) -> Tensor:
    """A picture [3, H, W] in [0, 1] as it is shown: pasted into what it is a part of, if it is one."""
    paste = inputs.canvas.paste if inputs.canvas else None
    return pixels if paste is None else paste.over(pixels)


def score(
    picture: Drawn, prompt: str, index: int, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, Any, Scores]:
    """Score a picture. Each CLIP embeds it once.

    Raises:
        JobFailedError: the picture, a score or the embedding is not finite.
    """
    scorer, aesthetic, features = inputs.scorer, inputs.aesthetic_scorer, picture.features
    picture.raster.require_finite(f"picture {index}", after="decoding")
    target: Tensor = yield EmbedText(scorer, prompt)
    similarity = cosine_similarity(features, target)
    require_finite(
        similarity, f"the similarity of picture {index} to its prompt", after=f"scoring by {scorer}"
    )
    if aesthetic is None:
        return Scores(similarity)
    if aesthetic != scorer:
        features = yield EmbedImage(aesthetic, picture.pixels)
    rating = aesthetic_score(features, facts.clips[aesthetic])
    require_finite_features(features, rating, index, aesthetic)
    return Scores(similarity, rating, F.normalize(features[0], dim=0))


def cosine_similarity(features: Tensor, target: Tensor) -> float:
    """Cosine similarity of image features [1, E] to a unit vector [1, E]."""
    return float((F.normalize(features, dim=-1) * target).sum(dim=-1))


def aesthetic_score(features: Tensor, clip: ClipFacts) -> float | None:
    """The score of image features [1, E] by the CLIP's aesthetic predictor; None without one."""
    return None if clip.head is None else float(clip.head(F.normalize(features, dim=-1)))


def require_finite_features(features: Tensor, rating: float | None, index: int, clip: str) -> None:
    """Raise JobFailedError, which names picture and CLIP, unless features and aesthetic score are finite."""
    after = f"scoring by {clip}"
    require_finite(features, f"the embedding of picture {index}", after=after)
    require_finite(rating, f"the aesthetic score of picture {index}", after=after)
