"""Inpainting: the part of a picture that is painted anew."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from jobs.requests.pictures import MaskPicture
from jobs.wire import Wire, same_field

MAX_GROW_PX = 256
MAX_BLUR_PX = 64
MAX_PADDING_PX = 1024
REPAINTED = 128  # the lowest level of 255 that is painted anew


class Fill(StrEnum):
    """What is in the hole before the run."""

    ORIGINAL = "original"
    BLUR = "blur"
    NOISE = "noise"
    NOTHING = "nothing"


class Area(StrEnum):
    """What is drawn: the whole picture, or its surroundings of the mask alone."""

    WHOLE = "whole"
    MASKED = "masked"


class ResolvedMask(Wire):
    """The mask with every default filled in."""

    image: MaskPicture = Field(
        description="The mask: white is painted anew, black is kept. Of a picture with transparency, the opaque "
        f"part is painted anew. It is stretched to the size of `init.image`. {MaskPicture.forms}"
    )
    invert: bool = Field(False, description="Paint anew what would be kept, and keep the rest.")
    grow: int = Field(0, description="Pixels of `init.image` by which the mask grows on all sides.")
    blur: float = Field(
        0.0,
        description="Standard deviation in pixels of `init.image` by which the edge between old and new is blurred, "
        "outside the mask. Further than 2.5 times this from the mask, the picture's own bytes stay.",
    )
    fill: Fill = Field(
        Fill.ORIGINAL,
        description="What the run finds in the masked part: `original`, its colours; `blur`, those around it; `noise`, "
        "random latents; `nothing`, latents of zero. The last two suit a `strength` near 1.",
    )
    area: Area = Field(
        Area.WHOLE,
        description="`whole`: the picture is brought to `width` and `height`, and drawn as a whole. `masked`: only the "
        "surroundings of the mask are, at `width` and `height`, and pasted into the picture at its own size.",
    )
    padding: int = Field(32, description="Pixels of `init.image` around the mask that `area: masked` draws.")
    soft: bool = Field(
        False,
        description="Read grey as the share of the run that paints there (Differential Diffusion, Levin & Fried 2023). "
        "Otherwise a level of 128 or more is painted anew.",
    )
    paste: bool = Field(
        True,
        description="Paste the picture's own pixels outside the mask over the result. Without, they come back from the "
        "VAE, slightly changed.",
    )


class Mask(Wire):
    """Paint a part of `init.image` anew, and keep the rest."""

    image: MaskPicture = same_field(ResolvedMask, "image", ...)
    invert: bool = same_field(ResolvedMask, "invert", False)
    grow: Annotated[int, Field(ge=0, le=MAX_GROW_PX)] = same_field(ResolvedMask, "grow", 0)
    blur: Annotated[float, Field(ge=0, le=MAX_BLUR_PX)] = same_field(ResolvedMask, "blur", 0.0)
    fill: Fill = same_field(ResolvedMask, "fill", Fill.ORIGINAL)
    area: Area = same_field(ResolvedMask, "area", Area.WHOLE)
    padding: Annotated[int, Field(ge=0, le=MAX_PADDING_PX)] = same_field(ResolvedMask, "padding", 32)
    soft: bool = same_field(ResolvedMask, "soft", False)
    paste: bool = same_field(ResolvedMask, "paste", True)
