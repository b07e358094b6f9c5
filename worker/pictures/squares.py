"""The pictures of a request's image prompts as squares, which is what an image encoder sees."""

from collections.abc import Mapping

from PIL import Image
from torch import Tensor

from jobs.pictures.fitting import fitted
from jobs.requests.conditions.image_prompts import ResolvedImagePrompt
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from worker.canvas import Canvas, canvas_of
from worker.pictures.levels import levels


def squares_for(request: ResolvedRequest, pictures: Mapping[str, Tensor]) -> tuple[Canvas, ...]:
    """The picture of each image prompt.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.
    """
    return tuple(_square(prompt, pictures[prompt.image]) for prompt in request.image_prompts)


def _square(prompt: ResolvedImagePrompt, pixels: Tensor) -> Canvas:
    """A square without resizing more than ``fit`` asks for: the encoder brings it to its own size."""
    picture = Image.fromarray(pixels[:3].permute(1, 2, 0).contiguous().numpy())
    side = max(picture.size) if prompt.fit is Fit.PAD else min(picture.size)
    return canvas_of(levels(fitted(picture, side, side, prompt.fit)))
