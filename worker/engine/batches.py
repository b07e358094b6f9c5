"""Each kind of call, run for many samplers at once.

The calls of a batch know nothing of each other: every network here normalizes and attends within one row, and all that
is random was drawn by the samplers. So an answer depends on its own call alone, up to rounding, since libraries choose
other kernels for other sizes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from worker.calls import (
    Decode,
    Denoise,
    EmbedImage,
    EmbedText,
    EncodeText,
    Guide,
    Look,
    Personalize,
    PullBack,
    Score,
    Sight,
)
from worker.guidance.gradient import Gradient, guidance_gradients
from worker.models.clip import ClipModel
from worker.models.diffusion import DiffusionModel

FITTING_TURN_S = 0.1  # of one turn; a step of Adam that takes longer is a turn


def encode_texts(calls: Sequence[EncodeText], model: DiffusionModel) -> list[Tensor]:
    """Each text's hidden state [1, L, D]."""
    return _apart(model.encode_texts([call.text for call in calls]))


def personalize(calls: Sequence[Personalize], model: DiffusionModel, clip: ClipModel) -> list[object]:
    """Each text's hidden state [1, L, D], or what was fitted in a short time; each takes an encoder of its own."""
    return [
        model.personalize(call.text, call.direction, call.tuning, clip, call.fitting, seconds=FITTING_TURN_S)
        for call in calls
    ]


def embed_texts(calls: Sequence[EmbedText], clip: ClipModel) -> list[Tensor]:
    """Each text's unit vector [1, E]."""
    return _apart(clip.embed_texts([call.text for call in calls]))


def embed_images(calls: Sequence[EmbedImage], clip: ClipModel) -> list[Tensor]:
    """Each picture's unit vector [1, E]."""
    return _apart(clip.embed_pictures(torch.stack([call.picture for call in calls])))


def denoise(calls: Sequence[Denoise], model: DiffusionModel) -> list[Tensor]:
    """Each call's outputs [R, C, h, w]; one pass of the UNet holds the rows of all calls."""
    return list(model.predict(*_rows(calls)).split([len(call.context) for call in calls]))


def pull_back(calls: Sequence[PullBack], model: DiffusionModel) -> list[Tensor]:
    """Each call's gradient [1, C, h, w]."""
    gradients = model.pull_back(*_rows(calls), torch.cat([call.gradient for call in calls]))
    own = gradients.split([len(call.context) for call in calls])
    return [rows.sum(dim=0, keepdim=True) for rows in own]


def _rows(calls: Sequence[Denoise | PullBack]) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and contexts, a row for each condition of each call."""
    return (
        torch.cat([call.latents.expand(len(call.context), -1, -1, -1) for call in calls]),
        torch.cat([call.timestep.expand(len(call.context)) for call in calls]),
        torch.cat([call.context for call in calls]),
    )


def guide(
    calls: Sequence[Guide], model: DiffusionModel, clips: Mapping[str, ClipModel], chunk: int
) -> list[Gradient]:
    """Each picture's gradient; ``chunk`` views at most are judged at a time, whosever they are."""
    return guidance_gradients(
        torch.cat([call.latents for call in calls]),
        [call.loss for call in calls],
        decode=model.decode if calls[0].decoder == "vae" else model.decode_linearly,
        clips=clips,
        chunk=min([chunk, *(clip.batch_views for clip in clips.values())]),
    )


def decode(calls: Sequence[Decode], model: DiffusionModel) -> list[Tensor]:
    """Each picture [3, H, W]."""
    return [picture[0] for picture in _apart(model.render(torch.cat([call.latents for call in calls])))]


def score(calls: Sequence[Score], clip: ClipModel) -> list[float]:
    """Each picture's similarity to its text."""
    return clip.scores(
        torch.stack([call.picture for call in calls]), torch.cat([call.target for call in calls])
    )


def look(calls: Sequence[Look], clip: ClipModel) -> list[Sight]:
    """What the CLIP sees in each picture."""
    embeddings = clip.project_pictures(torch.stack([call.picture for call in calls]))
    scores = clip.aesthetic_scores(embeddings)
    return [Sight(row, score) for row, score in zip(_apart(embeddings), scores, strict=True)]


def _apart(batch: Tensor) -> list[Tensor]:
    """The rows [1, ...] of a batch that are kept for long: as views, each would keep the whole batch in memory."""
    return [row.clone() for row in batch.split(1)]
