"""The adapters of a request: changes of low rank that its model is given for this job alone."""

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import Field

from jobs.requests.conditions.windows import Windowed
from jobs.wire import MAX_ID_CHARS, Wire, same_field

MAX_ADAPTERS = 8
MAX_WEIGHT = 4.0


class AdapterKind(StrEnum):
    """What an adapter does to a layer: adds a product, or also gives each output a magnitude of its own."""

    LORA = "lora"
    DORA = "dora"


class ResolvedAdapter(Windowed, Wire):
    """An adapter with every default filled in."""

    name: str = Field(description="Id of an adapter of /v1/adapters.", examples=["ink"])
    weight: float = Field(
        description="How much of its change the denoiser gets: 1 for all, more to exaggerate, negative for the "
        "opposite. Default: the adapter's own.",
        examples=[0.8],
    )
    text_weight: float = Field(
        description="The same for the text encoder, of adapters that change it. Default: `weight`.",
        examples=[0.8],
    )
    start: float = Field(
        0.0, description="Share of the run after which it changes the denoiser.", examples=[0.0]
    )
    end: float = Field(1.0, description="Share of the run up to which it does.", examples=[1.0])


_field = partial(same_field, ResolvedAdapter)
_Weight = Annotated[float | None, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]
_Share = Annotated[float, Field(ge=0, le=1)]


class Adapter(Wire):
    """An adapter of the catalog, with its weights and its window."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] = _field("name", ...)
    weight: _Weight = _field("weight")
    text_weight: _Weight = _field("text_weight")
    start: _Share = _field("start", 0.0)
    end: _Share = _field("end", 1.0)
