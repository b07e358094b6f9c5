"""What SDXL's denoiser is told of a picture's making: its size conditions (Podell et al. 2023, sec. 2.2)."""

from typing import Annotated

from pydantic import Field

from jobs.wire import Wire, same_field

MAX_STATED_PX = 16_384


class ResolvedExtent(Wire):
    """A width and a height."""

    width: int = Field(description="Width in pixels.", examples=[1024])
    height: int = Field(description="Height in pixels.", examples=[1024])


class ResolvedCorner(Wire):
    """Pixels that were cut off."""

    left: int = Field(0, description="Pixels cut off on the left.", examples=[0])
    top: int = Field(0, description="Pixels cut off above.", examples=[0])


class ResolvedStatedSizes(Wire):
    """Stated sizes with every default filled in; one that is left out is that of the pass."""

    original: ResolvedExtent | None = Field(
        None,
        description="Size of the picture before it was scaled for training: a small one makes pictures as soft as "
        "enlarged ones were. Default: the size that is drawn.",
    )
    crop: ResolvedCorner = Field(
        ResolvedCorner(),
        description="Where the picture was cut after scaling: 0 centres the motif. Default: 0 and 0.",
    )
    target: ResolvedExtent | None = Field(
        None, description="Size of the cut picture. Default: the size that is drawn."
    )


_Side = Annotated[int, Field(ge=1, le=MAX_STATED_PX)]
_Cut = Annotated[int, Field(ge=0, le=MAX_STATED_PX)]


class Extent(Wire):
    """A width and a height."""

    width: _Side = same_field(ResolvedExtent, "width", ...)
    height: _Side = same_field(ResolvedExtent, "height", ...)


class Corner(Wire):
    """Pixels that were cut off."""

    left: _Cut = same_field(ResolvedCorner, "left", 0)
    top: _Cut = same_field(ResolvedCorner, "top", 0)


class StatedSizes(Wire):
    """Sizes that the denoiser of SDXL is told, beside the size that is drawn."""

    original: Extent | None = same_field(ResolvedStatedSizes, "original")
    crop: Corner = same_field(ResolvedStatedSizes, "crop", Corner())
    target: Extent | None = same_field(ResolvedStatedSizes, "target")
