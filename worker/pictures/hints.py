"""The maps of a request's controls, at the sizes of its passes."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from jobs.requests.conditions.controls import Preprocessor, ResolvedControl
from jobs.requests.request import ResolvedRequest
from worker.canvas import Canvas, canvas_of
from worker.pictures.edges import canny
from worker.pictures.fitting import FINE, fitted, levels

Size = tuple[int, int]
Hints = Mapping[Size, tuple[Canvas, ...]]


def hints_for(request: ResolvedRequest, pictures: Mapping[str, Tensor], canvas: Canvas | None) -> Hints:
    """The map of each control by the width and height of a pass; nothing without controls.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.
        canvas: that its run starts from; where that is a part of a picture, so is the map.
    """
    if not request.controls:
        return {}
    return {
        (part.width, part.height): tuple(
            canvas_of(levels(_map(control, pictures[control.image], (part.width, part.height), canvas)))
            for control in request.controls
        )
        for part in request.passes
    }


def _map(control: ResolvedControl, pixels: Tensor, size: Size, canvas: Canvas | None) -> Image.Image:
    picture = Image.fromarray(pixels[:3].permute(1, 2, 0).contiguous().numpy())
    if canvas is not None and canvas.paste is not None:
        height, width = canvas.paste.whole.shape[1:]
        picture = fitted(picture, width, height, control.fit).crop(canvas.paste.box).resize(size, FINE)
    else:
        picture = fitted(picture, *size, control.fit)
    match control.preprocess:
        case Preprocessor.NONE:
            return picture
        case Preprocessor.INVERT:
            return ImageOps.invert(picture)
        case Preprocessor.CANNY:
            edges = canny(np.asarray(picture), control.low, control.high)
            return Image.fromarray((255 * edges).astype(np.uint8)).convert("RGB")
