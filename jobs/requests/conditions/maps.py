"""The maps that controls read, and what makes them of pictures."""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field

from jobs.requests.pictures import Picture
from jobs.requests.start.init import Fit
from jobs.requests.start.seeds import MAX_SEED
from jobs.wire import MAX_ID_CHARS, Wire, same_field

MAX_MAP_PX = 2048
MAX_GRADIENT, MAX_LEVEL, MAX_DOWNSAMPLE = 2000.0, 255.0, 64.0


class Preprocessor(StrEnum):
    """What makes a map of a picture; none of them needs weights."""

    NONE = "none"
    CANNY = "canny"
    LINEART = "lineart"
    SCRIBBLE = "scribble"
    XDOG = "xdog"
    TILE = "tile"
    SHUFFLE = "shuffle"
    INVERT = "invert"


THRESHOLDS = {Preprocessor.SCRIBBLE: 127.0, Preprocessor.XDOG: 32.0}
"""The default of ``threshold``, of those that have one."""


class ResolvedMap(Wire):
    """How a map is made, with every default filled in."""

    image: Picture = Field(
        description="The picture that the map is made of, or the map itself; it is brought to the size of the result. "
        + Picture.forms
    )
    preprocess: Preprocessor = Field(
        description="What makes the map. `canny` finds edges; `lineart` draws what is darker than its surroundings; "
        "`scribble` takes what is dark for lines, and `xdog` what a difference of Gaussians finds, both in black and "
        "white alone; `tile` keeps colours and takes details away; `shuffle` keeps colours and takes shapes away; "
        "`invert` turns black lines on white into white on black; `none` takes the picture as the map. Default: the "
        "ControlNet's own.",
        examples=["canny"],
    )
    low: float = Field(
        100.0,
        description="Of `canny`: an edge goes on while the gradient is above this, of 255.",
        examples=[100],
    )
    high: float = Field(200.0, description="Of `canny`: an edge begins above this.", examples=[200])
    threshold: float | None = Field(
        None,
        description="Of `scribble`: what is darker is a line, of 255; default 127. Of `xdog`: what is darker than its "
        "surroundings by more than half of this; default 32.",
        examples=[127],
    )
    downsample: float = Field(4.0, description="Of `tile`: how many pixels a side become one.", examples=[4])
    resolution: int | None = Field(
        None,
        description="Pixels of the shorter side at which `canny`, `lineart`, `scribble`, `xdog` and `shuffle` look at "
        f"the picture, within {MAX_MAP_PX} x {MAX_MAP_PX} in all; the map is then brought to the size of the result. "
        "Default: that size itself.",
        examples=[512],
    )
    fit: Fit = Field(
        Fit.CROP, description="How a picture of another shape is brought to the size of the result."
    )

    @property
    def level(self) -> float:
        """The threshold, or its default; 0 for a preprocessor that has none."""
        return THRESHOLDS.get(self.preprocess, 0.0) if self.threshold is None else self.threshold


_field = partial(same_field, ResolvedMap)
_Gradient = Annotated[float, Field(ge=0, le=MAX_GRADIENT)]
_Side = Annotated[int, Field(ge=8, le=MAX_MAP_PX)]


class MapFields(Wire):
    """A picture, and how a map is made of it."""

    image: Picture = _field("image", ...)
    preprocess: Preprocessor | None = _field("preprocess")
    low: _Gradient = _field("low", 100.0)
    high: _Gradient = _field("high", 200.0)
    threshold: Annotated[float | None, Field(ge=0, le=MAX_LEVEL)] = _field("threshold")
    downsample: Annotated[float, Field(ge=1, le=MAX_DOWNSAMPLE)] = _field("downsample", 4.0)
    resolution: Annotated[int | None, Field(ge=16, le=MAX_MAP_PX)] = _field("resolution")
    fit: Fit = _field("fit", Fit.CROP)


class MapRequest(MapFields):
    """A map to be made before any job reads it."""

    model: Annotated[str | None, Field(min_length=1, max_length=MAX_ID_CHARS)] = Field(
        None, description="Id of a ControlNet, for its own `preprocess`.", examples=["edges"]
    )
    width: _Side | None = Field(
        None,
        description="Of the map in pixels, such as that of the picture to be made. Default: the picture's own, "
        f"within {MAX_MAP_PX} a side.",
        examples=[512],
    )
    height: _Side | None = Field(None, description="Likewise.", examples=[512])
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        0, description="Of `shuffle`: the seed of the job whose map this is.", examples=[7]
    )
