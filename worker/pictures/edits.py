"""The picture that a model edits, at the sizes of a request's passes."""

from collections.abc import Mapping

from PIL import Image
from torch import Tensor

from jobs.pictures.fitting import fitted
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from worker.canvas import Canvas, canvas_of
from worker.pictures.levels import levels

Edits = Mapping[tuple[int, int], Canvas]


def edits_for(request: ResolvedRequest, pictures: Mapping[str, Tensor], canvas: Canvas | None) -> Edits:
    """The picture to edit by the width and height of a pass; nothing without one.

    Args:
        request: of the job.
        pictures: that it names, uint8 [C, H, W], by these names.
        canvas: that its run starts from; where that is a part of a picture, so is the one to edit.
    """
    edit = request.edit
    if edit is None:
        return {}
    whole, fit = Image.fromarray(pictures[edit.image][:3].permute(1, 2, 0).contiguous().numpy()), edit.fit
    if canvas is not None and canvas.paste is not None:
        height, width = canvas.paste.whole.shape[1:]
        whole, fit = fitted(whole, width, height, fit).crop(canvas.paste.box), Fit.STRETCH
    sizes = {(part.width, part.height) for part in request.passes}
    return {size: canvas_of(levels(fitted(whole, *size, fit))) for size in sizes}
