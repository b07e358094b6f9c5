"""The controls of a request: maps that ControlNets read, such as the edges of a picture to be drawn."""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field

from jobs.requests.conditions.windows import Windowed
from jobs.requests.pictures import Picture
from jobs.requests.start.init import Fit
from jobs.wire import MAX_ID_CHARS, Wire, same_field

MAX_CONTROLS = 4
MAX_WEIGHT = 2.0


class Preprocessor(StrEnum):
    """What makes a map of a picture; none of them needs weights."""

    NONE = "none"
    CANNY = "canny"
    INVERT = "invert"


class ControlMode(StrEnum):
    """How a control and the prompt share the say."""

    BALANCED = "balanced"
    PROMPT = "prompt"
    CONTROL = "control"
    GUESS = "guess"


class ResolvedControl(Windowed, Wire):
    """A control with every default filled in."""

    model: str = Field(description="Id of a ControlNet of /v1/controls.", examples=["edges"])
    image: Picture = Field(
        description="The picture that the map is made of, or the map itself; it is brought to the size of the result. "
        + Picture.forms
    )
    weight: float = Field(1.0, description="How much the control counts.", examples=[1.0])
    start: float = Field(0.0, description="Share of the run after which it counts.", examples=[0.0])
    end: float = Field(1.0, description="Share of the run up to which it counts.", examples=[1.0])
    mode: ControlMode = Field(
        ControlMode.BALANCED,
        description="`balanced`: the control counts alike in all its parts, and in the negative prompt's row too. "
        "`prompt`: it counts less in its outer parts. `control`: likewise, and not at all in the negative prompt's "
        "row, so that cfg_scale makes it stronger. `guess`: the control leads, also without a prompt, as in diffusers' "
        "guess mode.",
        examples=["balanced"],
    )
    preprocess: Preprocessor = Field(
        description="What makes the map: `canny` finds edges, `invert` turns black lines on white into white on black, "
        "`none` takes the picture as the map. Default: the ControlNet's own.",
        examples=["canny"],
    )
    low: float = Field(
        100.0,
        description="Of `canny`: an edge goes on while the gradient is above this, of 255.",
        examples=[100],
    )
    high: float = Field(200.0, description="Of `canny`: an edge begins above this.", examples=[200])
    fit: Fit = Field(
        Fit.CROP, description="How a picture of another shape is brought to the size of the result."
    )


_field = partial(same_field, ResolvedControl)
_Share = Annotated[float, Field(ge=0, le=1)]
_Gradient = Annotated[float, Field(ge=0, le=2000)]


class Control(Wire):
    """A ControlNet of the catalog, with a picture."""

    model: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] = _field("model", ...)
    image: Picture = _field("image", ...)
    weight: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = _field("weight", 1.0)
    start: _Share = _field("start", 0.0)
    end: _Share = _field("end", 1.0)
    mode: ControlMode = _field("mode", ControlMode.BALANCED)
    preprocess: Preprocessor | None = _field("preprocess")
    low: _Gradient = _field("low", 100.0)
    high: _Gradient = _field("high", 200.0)
    fit: Fit = _field("fit", Fit.CROP)
