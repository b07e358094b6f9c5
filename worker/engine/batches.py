"""Runs each kind of call for many samplers at once.

The calls of a batch do not depend on each other: every network here normalizes and attends within one row, and the
samplers draw all random numbers. So an answer depends on its own call alone, up to rounding, since libraries choose
other kernels for other sizes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from worker.calls import (
    Call,
    Decode,
    Denoise,
    EmbedImage,
    EmbedText,
    EncodeText,
    Guide,
    Personalize,
    PullBack,
)
from worker.guidance.gradient import Gradient, guidance_gradients
from worker.models.registry import ModelRegistry

FITTING_SLICE_S = 0.1  # of one batch; a step of Adam that takes longer is a batch


def encode_texts(calls: Sequence[EncodeText], models: ModelRegistry) -> list[Tensor]:
    """The hidden state [1, L, D] of each text."""
    return _apart(models.diffusion(calls[0].model).encode_texts([call.text for call in calls]))


def personalize(calls: Sequence[Personalize], models: ModelRegistry) -> list[object]:
    """The hidden state [1, L, D] of each text, or its encoder as far as it is fitted."""
    model, clip = models.diffusion(calls[0].model), models.clip(calls[0].text_clip)
    return [
        model.personalize(call.text, call.direction, call.tuning, clip, call.fitting, seconds=FITTING_SLICE_S)
        for call in calls
    ]


def embed_texts(calls: Sequence[EmbedText], models: ModelRegistry) -> list[Tensor]:
    """The unit vector [1, E] of each text."""
    return _apart(models.clip(calls[0].clip).embed_texts([call.text for call in calls]))


def embed_images(calls: Sequence[EmbedImage], models: ModelRegistry) -> list[Tensor]:
    """The image features [1, E] of each picture."""
    pictures = torch.stack([call.picture for call in calls])
    return _apart(models.clip(calls[0].clip).project_pictures(pictures))


def denoise(calls: Sequence[Denoise], models: ModelRegistry) -> list[Tensor]:
    """The outputs [R, C, h, w] of each call; one pass of the UNet holds the rows of all calls."""
    outputs = models.diffusion(calls[0].model).predict(*_rows(calls))
    return list(outputs.split([call.size for call in calls]))


def pull_back(calls: Sequence[PullBack], models: ModelRegistry) -> list[Tensor]:
    """The gradient [1, C, h, w] of each call."""
    gradients = torch.cat([call.gradient for call in calls])
    pulled = models.diffusion(calls[0].model).pull_back(*_rows(calls), gradients)
    return [rows.sum(dim=0, keepdim=True) for rows in pulled.split([call.size for call in calls])]


def _rows(calls: Sequence[Denoise | PullBack]) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and contexts, a row for each condition of each call."""
    return (
        torch.cat([call.latents.expand(call.size, -1, -1, -1) for call in calls]),
        torch.cat([call.timestep.expand(call.size) for call in calls]),
        torch.cat([call.context for call in calls]),
    )


def guide(calls: Sequence[Guide], models: ModelRegistry, micro_batch: int) -> list[Gradient]:
    """The gradient of each picture; CLIP embeds at most ``micro_batch`` cutouts at a time, of any of the pictures."""
    model = models.diffusion(calls[0].model)
    clips = {clip: models.clip(clip) for clip in calls[0].loss.clips}
    return guidance_gradients(
        torch.cat([call.latents for call in calls]),
        [call.loss for call in calls],
        decode=model.decode if calls[0].decoder == "vae" else model.decode_linearly,
        clips=clips,
        chunk=min([micro_batch, *(clip.batch_cutouts for clip in clips.values())]),
    )


def decode(calls: Sequence[Decode], models: ModelRegistry) -> list[Tensor]:
    """The picture [3, H, W] of each call."""
    pictures = models.diffusion(calls[0].model).render(torch.cat([call.latents for call in calls]))
    return [picture[0] for picture in _apart(pictures)]


def _apart(batch: Tensor) -> list[Tensor]:
    """The rows [1, ...] of a batch that outlives it: as views, each row would keep the whole batch in memory."""
    return [row.clone() for row in batch.split(1)]


# By class of call: a function of the batch's calls, which have one key, and the models. A call with ``micro_batches``
# adds the one to take. The function returns an answer for each call.
BATCHES: dict[type[Call], Callable[..., list[Any]]] = {
    EncodeText: encode_texts,
    Personalize: personalize,
    EmbedText: embed_texts,
    EmbedImage: embed_images,
    Denoise: denoise,
    PullBack: pull_back,
    Guide: guide,
    Decode: decode,
}
