"""Each kind of call, run for many samplers at once.

The calls of a batch know nothing of each other: every network here normalizes and attends within one row, and all that
is random was drawn by the samplers. So an answer depends on its own call alone, up to rounding, since libraries choose
other kernels for other sizes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.calls import Decode, Denoise, EmbedText, EncodeText, Guide, Look, Personalize, Score, Sight
from worker.guidance.gradient import Gradient, guidance_gradients
from worker.models.clip import ClipModel
from worker.models.diffusion import DiffusionModel


def encode_texts(calls: Sequence[EncodeText], model: DiffusionModel) -> list[Tensor]:
    """Each text's hidden state [1, L, D]."""
    return list(model.encode_texts([call.text for call in calls]).split(1))


def personalize(calls: Sequence[Personalize], model: DiffusionModel, clip: ClipModel) -> list[Tensor]:
    """Each text's hidden state [1, L, D]; one after the other, since each takes an encoder of its own."""
    return [model.personalize(call.text, call.direction, call.tuning, clip) for call in calls]


def embed_texts(calls: Sequence[EmbedText], clip: ClipModel) -> list[Tensor]:
    """Each text's unit vector [1, E]."""
    return list(clip.embed_texts([call.text for call in calls]).split(1))


def denoise(calls: Sequence[Denoise], model: DiffusionModel) -> list[Tensor]:
    """Each call's output [1, C, h, w] under classifier-free guidance (Ho & Salimans 2022, eq. 6): u + w (c - u).

    One pass of the UNet holds the conditional rows of all calls, then the unconditional rows of those that have one.
    """
    rows = [(call, call.conditional) for call in calls]
    rows += [(call, call.unconditional) for call in calls if call.unconditional is not None]
    outputs = model.predict(
        torch.cat([call.latents for call, _ in rows]),
        torch.stack([call.timestep for call, _ in rows]),
        torch.cat([context for _, context in rows]),
    )
    conditional, unconditional = outputs[: len(calls)].split(1), iter(outputs[len(calls) :].split(1))
    return [
        c if call.unconditional is None else (u := next(unconditional)) + call.cfg_scale * (c - u)
        for call, c in zip(calls, conditional, strict=True)
    ]


def guide(calls: Sequence[Guide], model: DiffusionModel, clip: ClipModel, chunk: int) -> list[Gradient]:
    """Each picture's gradient; ``chunk`` views are judged at a time, whosever they are."""
    return guidance_gradients(
        torch.cat([call.denoised for call in calls]),
        torch.cat([call.target for call in calls]),
        [call.views for call in calls],
        decode=model.decode,
        embed=clip.embed,
        px=clip.px,
        chunk=chunk,
    )


def decode(calls: Sequence[Decode], model: DiffusionModel) -> list[Tensor]:
    """Each picture [3, H, W]."""
    return list(model.render(torch.cat([call.latents for call in calls])))


def score(calls: Sequence[Score], clip: ClipModel) -> list[float]:
    """Each picture's similarity to its text."""
    return clip.scores(
        torch.stack([call.picture for call in calls]), torch.cat([call.target for call in calls])
    )


def look(calls: Sequence[Look], clip: ClipModel) -> list[Sight]:
    """What the CLIP sees in each picture."""
    embeddings = clip.project_pictures(torch.stack([call.picture for call in calls]))
    scores = clip.aesthetic_scores(embeddings)
    return [Sight(row, score) for row, score in zip(embeddings.split(1), scores, strict=True)]
