"""Runs each kind of call for many samplers at once.

The calls of a batch do not depend on each other: every network here normalizes and attends within one row, and the
samplers draw all random numbers. So an answer depends on its own call alone, up to rounding, since libraries choose
other kernels for other sizes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from worker.calls import (
    Call,
    Decode,
    Denoise,
    EmbedImage,
    EmbedText,
    EmbedTexts,
    Encode,
    EncodeText,
    Guide,
    Personalize,
    PullBack,
)
from worker.guidance.gradient import Gradient, guidance_gradients
from worker.latents import Stack, advanced, calls_of, gathered, move_on
from worker.models.adapters.files import TEXT
from worker.models.networks.keeping import DECODER, TEXTS
from worker.models.registry import ModelRegistry
from worker.models.rows import RowBatch
from worker.readback import Readback
from worker.rows import TextStates
from worker.sampling.prediction import Prediction, Predictions

FITTING_SLICE_S = 0.1  # of one batch; a step of Adam that takes longer is a batch


def encode_texts(calls: Sequence[EncodeText], models: ModelRegistry) -> list[TextStates]:
    """The states of each wording."""
    model, wordings = models.diffusion(calls[0].model), [call.wording for call in calls]
    return model.encode(wordings, calls[0].adapters, models)


def personalize(calls: Sequence[Personalize], models: ModelRegistry) -> list[object]:
    """The states [1, L, D] of each text, or its encoder as far as it is fitted."""
    model, clip = models.diffusion(calls[0].model), models.clip(calls[0].text_clip)
    with model.holding(TEXTS):
        return [
            model.personalizer.personalize(
                call.text,
                call.direction,
                call.tuning,
                clip,
                call.fitting,
                changes=partial(model.adaptations.changes, TEXT, call.tuning.adapters, models.adapter),
                seconds=FITTING_SLICE_S,
            )
            for call in calls
        ]


def embed_texts(calls: Sequence[EmbedText], models: ModelRegistry) -> list[Tensor]:
    """The unit vector [1, E] of each text."""
    return _apart(models.clip(calls[0].clip).embed_texts([call.text for call in calls]))


def embed_many_texts(calls: Sequence[EmbedTexts], models: ModelRegistry) -> list[Tensor]:
    """The unit vectors [N, E] of each call's texts."""
    return [models.clip(call.clip).embed_texts(call.texts) for call in calls]


def embed_images(calls: Sequence[EmbedImage], models: ModelRegistry) -> list[Tensor]:
    """The image features [1, E] of each picture."""
    # Those of a task come from a file, and those of a sampler from the decoder.
    pictures = torch.stack([call.picture.to(models.device.device) for call in calls])
    return _apart(models.clip(calls[0].clip).project_pictures(pictures))


@torch.no_grad()
def denoise(calls: Sequence[Denoise], models: ModelRegistry) -> list[Prediction]:
    """The prediction of each call, whose solver goes on; one pass of the denoiser holds the rows of all calls."""
    model, states = models.diffusion(calls[0].model), [call.state for call in calls]
    before, next_calls = gathered(states), calls_of(states)
    x, timesteps = before.latents, next_calls[:, 0]
    rows = model.rows([call.rows for call in calls], models)
    outputs = model.predict(x, timesteps, rows)
    weights = _weights(calls, rows, outputs)
    starts = [0, *accumulate(call.size for call in calls[:-1])]
    for place, (start, call) in enumerate(zip(starts, calls, strict=True)):
        if call.kept is not None:
            own = outputs[start : start + call.size]
            own.copy_(call.kept.outputs(own, x[place : place + 1]))
    noise = _noise(calls, before)
    after = advanced(states, before, next_calls, rows.with_weights(outputs, weights), noise)
    if noise is not None:
        after.spare.append(noise)
    finite = Readback(after.latents.flatten(1).sum(dim=1).isfinite())
    move_on(states, after)  # last: nothing has moved if anything before fails
    batch = Predictions(x, timesteps, outputs, weights, finite)
    return [
        Prediction(batch, place, start, call.rows, call.kept.mask if call.kept else None)
        for place, (start, call) in enumerate(zip(starts, calls, strict=True))
    ]


def _weights(calls: Sequence[Denoise], rows: RowBatch, outputs: Tensor) -> Tensor:
    """The weights of each picture's rows, [N, R, 1, h or 1, w or 1]; of rescaled guidance, times its gains."""
    if not any(call.rescale for call in calls):
        return rows.weights
    shares = torch.tensor([call.rescale for call in calls], device=outputs.device, dtype=outputs.dtype)
    gains = rows.gains(outputs, shares)
    if any(call.kept is not None for call in calls):
        # What is kept counts as it is.
        masks = (None if call.kept is None else call.kept.mask for call in calls)
        each = zip(gains.split(1), masks, strict=True)
        size = outputs.shape[2:]
        gains = torch.cat(
            [
                (gain if mask is None else torch.where(mask, gain, 1)).expand(1, 1, *size)
                for gain, mask in each
            ]
        )
    return rows.weights * gains[:, None]


def _noise(calls: Sequence[Denoise], stack: Stack) -> Tensor | None:
    """The fresh noise of a batch, [N, C, h, w]; zero for the calls without. None where there is none."""
    drawn = [call.noise for call in calls]
    some = next((noise for noise in drawn if noise is not None), None)
    if some is None:
        return None
    nothing = torch.zeros_like(some)
    rows = [nothing if noise is None else noise for noise in drawn]
    memory = stack.memory()
    if memory.device.type == "cpu":
        return torch.cat(rows, out=memory)
    return memory.copy_(torch.cat(rows).pin_memory(), non_blocking=True)


def encode(calls: Sequence[Encode], models: ModelRegistry) -> list[Tensor]:
    """The latents [1, C, h, w] of each picture."""
    return _apart(models.diffusion(calls[0].model).encode_pictures([call.picture for call in calls]))


def pull_back(calls: Sequence[PullBack], models: ModelRegistry) -> list[Tensor]:
    """The gradient [1, C, h, w] of each call."""
    model = models.diffusion(calls[0].model)
    pulled = model.pull_back(
        torch.cat([call.latents for call in calls]),
        torch.cat([call.timestep for call in calls]),
        model.rows([call.rows for call in calls], models),
        torch.cat([call.gradient for call in calls]),
    )
    return list(pulled.split(1))


def guide(calls: Sequence[Guide], models: ModelRegistry, micro_batch: int) -> list[Gradient]:
    """The gradient of each picture; CLIP embeds at most ``micro_batch`` cutouts at a time, of any of the pictures."""
    model = models.diffusion(calls[0].model)
    clips = {clip: models.clip(clip) for clip in calls[0].loss.clips}
    with model.holding(DECODER):
        return guidance_gradients(
            torch.cat([call.latents for call in calls]),
            [call.loss for call in calls],
            decode=model.decode if calls[0].decoder == "vae" else model.decode_linearly,
            clips=clips,
            chunk=min([micro_batch, *(clip.batch_cutouts for clip in clips.values())]),
        )


def decode(calls: Sequence[Decode], models: ModelRegistry) -> list[Tensor]:
    """The picture [3, H, W] of each call, on the device."""
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
    EmbedTexts: embed_many_texts,
    EmbedImage: embed_images,
    Encode: encode,
    Denoise: denoise,
    PullBack: pull_back,
    Guide: guide,
    Decode: decode,
}
