"""The inputs of a picture besides its request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from worker.aesthetics.embeddings import AestheticEmbedding
from worker.canvas import Canvas


@dataclass(frozen=True)
class SamplerInputs:
    """CLIPs, embeddings and pictures that the sampler of a picture needs.

    Attributes:
        scorer: id of the CLIP whose cosine similarity to the prompt is the picture's ``clip_score``.
        aesthetic_scorer: id of the CLIP that gives the aesthetic score and the embedding for the search.
        text_clip: id of the CLIP that the model's text encoder belongs to; personalization needs it.
        embeddings: the aesthetic embeddings that the request names, by their digests.
        pictures: those that the request names, uint8 [C, H, W], by these names; see ``read_named``.
        canvas: the picture that the run starts from, with its mask.
        hints: the maps of its controls, by the width and height of a pass.
        image_prompts: the pictures of its image prompts, squares.
        edits: the picture to edit, by the width and height of a pass.
    """

    scorer: str
    aesthetic_scorer: str | None = None
    text_clip: str | None = None
    embeddings: Mapping[str, AestheticEmbedding] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    canvas: Canvas | None = None
    hints: Mapping[tuple[int, int], tuple[Canvas, ...]] = field(default_factory=dict)
    image_prompts: tuple[Canvas, ...] = ()
    edits: Mapping[tuple[int, int], Canvas] = field(default_factory=dict)
