"""The image prompts of a run: which rows read which pictures, and when."""

from collections.abc import Sequence
from dataclasses import replace

from jobs.requests.request import ResolvedRequest
from worker.canvas import Canvas
from worker.rows import ImagePromptUse, Row
from worker.sampling.conditions.conditioning import Conditions
from worker.sampling.conditions.windows import by_windows


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
    pictures = list(zip(request.image_prompts, canvases, strict=True))

    def tell(row: Row, step: int, is_negative: bool) -> Row:
        uses = (
            ImagePromptUse(prompt.adapter, None if is_negative else canvas, prompt.weight)
            for prompt, canvas in pictures
            if prompt.weight and prompt.is_active(step, request.steps)
        )
        return replace(row, image_prompts=tuple(uses))

    return by_windows(conditions, request, request.image_prompts, tell)
