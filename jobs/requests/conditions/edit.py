"""Editing by instruction: a picture that the model sees beside the prompt, which says what to change in it.

InstructPix2Pix (Brooks et al. 2023, arXiv 2211.09800). Unlike a picture to start from, it has no strength: the run
starts from pure noise, and the model has learned what to keep.
"""

from typing import Annotated

from pydantic import Field

from jobs.prompts.fields import ResolvedPrompt, weights_with
from jobs.requests.pictures import Picture
from jobs.requests.start.init import Fit
from jobs.wire import Wire, same_field

MAX_IMAGE_CFG_SCALE = 50


class ResolvedEdit(Wire):
    """The picture to edit, with every default filled in."""

    image: Picture = Field(description=f"The picture to edit. {Picture.forms}")
    image_cfg_scale: float = Field(
        description="How closely the result keeps to the picture, as `cfg_scale` to the instruction: s_I of the paper. "
        "At 1 the row that sees no picture is left out, and below 1 the picture counts for less. Default: the model's "
        "own.",
        examples=[1.5],
    )
    fit: Fit = Field(
        description="How the picture is brought to `width` and `height`: `crop` cuts off what is too wide or too high, "
        "`stretch` changes its proportions, `pad` repeats its outermost pixels.",
    )


class Edit(Wire):
    """A picture to edit as the prompt says, by a model of the kind `edit` (InstructPix2Pix)."""

    answered = ResolvedEdit
    image: Picture = same_field(ResolvedEdit, "image", ...)
    image_cfg_scale: Annotated[float | None, Field(ge=0, le=MAX_IMAGE_CFG_SCALE)] = same_field(
        ResolvedEdit, "image_cfg_scale"
    )
    fit: Fit = same_field(ResolvedEdit, "fit", Fit.CROP)


class EditedPrompt(ResolvedPrompt):
    """The prompts, and what they say to change."""

    edit: ResolvedEdit | None = Field(
        None,
        description="The picture that a model of the kind `edit` changes as the prompt says. Default: none.",
    )

    @property
    def negative_weights(self) -> tuple[float, ...]:
        """Of an edit, those of a row that sees the picture and of one that does not (Brooks et al. 2023, eq. 3)."""
        return weights_with(self.unprompted_weight, 1.0 if self.edit is None else self.edit.image_cfg_scale)

    @property
    def sees_no_picture_last(self) -> bool:
        """Whether the last row of an edit is the one that sees no picture."""
        return self.edit is not None and len(weights_with(0.0, self.edit.image_cfg_scale)) == 2
