"""The controls of a request: maps that ControlNets read, such as the edges of a picture to be drawn."""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field

from jobs.requests.conditions.maps import MapFields, ResolvedMap
from jobs.requests.conditions.windows import Windowed
from jobs.wire import MAX_ID_CHARS, same_field

MAX_CONTROLS = 4
MAX_WEIGHT = 2.0


class ControlMode(StrEnum):
    """How a control and the prompt share the say."""

    BALANCED = "balanced"
    PROMPT = "prompt"
    CONTROL = "control"
    GUESS = "guess"


class ResolvedControl(Windowed, ResolvedMap):
    """A control with every default filled in."""

    model: str = Field(description="Id of a ControlNet of /v1/controls.", examples=["edges"])
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


_field = partial(same_field, ResolvedControl)
_Share = Annotated[float, Field(ge=0, le=1)]


class Control(MapFields):
    """A ControlNet of the catalog, with a picture."""

    model: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] = _field("model", ...)
    weight: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = _field("weight", 1.0)
    start: _Share = _field("start", 0.0)
    end: _Share = _field("end", 1.0)
    mode: ControlMode = _field("mode", ControlMode.BALANCED)
