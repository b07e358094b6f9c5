"""The maps of a request's controls, at the sizes of its passes."""

from collections.abc import Mapping

from PIL import Image
from torch import Tensor

from jobs.pictures.fitting import FINE, fitted
from jobs.pictures.maps.detection import detected, map_of, working_size
from jobs.requests.conditions.controls import ResolvedControl
from jobs.requests.request import ResolvedRequest
from worker.canvas import Canvas, canvas_of
from worker.pictures.levels import levels

Size = tuple[int, int]
Hints = Mapping[Size, tuple[Canvas, ...]]


def hints_for(request: ResolvedRequest, pictures: Mapping[str, Tensor], canvas: Canvas | None) -> Hints:
    """The map of each control by the width and height of a pass; nothing without controls.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.
        canvas: that its run starts from; where that is a part of a picture, so is the map.
    """
    return {
        size: tuple(
            canvas_of(levels(_map(control, pictures[control.image], size, canvas, request.seed)))
            for control in request.controls
        )
        for size in ((part.width, part.height) for part in request.passes if request.controls)
    }


def shown_maps(request: ResolvedRequest, hints: Hints) -> tuple[Canvas, ...]:
    """The maps that a job shows: those of its first pass, in the order of its controls."""
    return hints.get((request.width, request.height), ())


def _map(
    control: ResolvedControl, pixels: Tensor, size: Size, canvas: Canvas | None, seed: int
) -> Image.Image:
    picture = Image.fromarray(pixels[:3].permute(1, 2, 0).contiguous().numpy())
    if canvas is None or canvas.paste is None:
        return map_of(picture, control, size, seed)
    height, width = canvas.paste.whole.shape[1:]
    part = fitted(picture, width, height, control.fit).crop(canvas.paste.box)
    return detected(part.resize(working_size(control, size), FINE), control, size, seed)
