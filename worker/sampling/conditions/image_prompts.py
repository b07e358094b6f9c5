"""The image prompts of a run: which rows read which pictures, and when."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from jobs.requests.conditions.image_prompts import ResolvedImagePrompt
from jobs.requests.request import ResolvedRequest
from worker.canvas import Canvas
from worker.facts import RowSpec
from worker.rows import ImagePromptUse, PictureLabel, Row
from worker.sampling.conditions.conditioning import Conditions
from worker.sampling.conditions.windows import by_windows

# The noise of a picture's embedding is a stream of its own, so that it does not change that of the latents.
LABEL_STREAM = 0xC2B2AE3D27D4EB4F


def prompted(conditions: Conditions, request: ResolvedRequest, canvases: Sequence[Canvas]) -> Conditions:
    """Conditions with the request's image prompts in their rows.

    The negative prompt's row reads as many tokens of no picture, as in training without one (Ye et al. 2023,
    sec. 3.2.3).

    Args:
        conditions: of the run.
        request: of the picture.
        canvases: the pictures of its image prompts.
    """
    if not request.image_prompts:
        return conditions
    given = zip(request.image_prompts, canvases, strict=True)
    pictures = [(prompt, canvas) for prompt, canvas in given if prompt.adapter is not None]
    if not pictures:
        return conditions

    def tell(row: Row, step: int, is_negative: bool) -> Row:
        uses = (
            ImagePromptUse(prompt.adapter, None if is_negative else canvas, prompt.weight)
            for prompt, canvas in pictures
            if prompt.adapter is not None and _counts(prompt, step, request)
        )
        return replace(row, image_prompts=tuple(uses))

    return by_windows(conditions, request, request.image_prompts, tell)


def labelled(
    conditions: Conditions, request: ResolvedRequest, canvases: Sequence[Canvas], spec: RowSpec, seed: int
) -> Conditions:
    """Conditions with the pictures that the model itself reads, as one label of a row.

    The negative prompt's row has none, as in diffusers' pipelines of unCLIP.

    Args:
        conditions: of the run.
        request: of the picture.
        canvases: the pictures of its image prompts.
        spec: what a row carries.
        seed: of the picture; the noise of its label is drawn with it.
    """
    if not request.image_prompts:
        return conditions
    given = zip(request.image_prompts, canvases, strict=True)
    pictures = [(prompt, canvas) for prompt, canvas in given if prompt.adapter is None]
    if not pictures:
        return conditions
    generator = torch.Generator().manual_seed((seed ^ LABEL_STREAM) % 2**63)
    noise = torch.randn(1, spec.vector_width // 2, generator=generator)

    def tell(row: Row, step: int, is_negative: bool) -> Row:
        counting = tuple(
            (canvas, prompt.weight) for prompt, canvas in pictures if _counts(prompt, step, request)
        )
        if is_negative or not counting:
            return row
        return replace(row, label=PictureLabel(counting, pictures[0][0].noise_level, noise))

    return by_windows(conditions, request, [prompt for prompt, _ in pictures], tell)


def _counts(prompt: ResolvedImagePrompt, step: int, request: ResolvedRequest) -> bool:
    return bool(prompt.weight) and prompt.is_active(step, request.steps)
