"""The refiner of a request: a model that takes the last part of the run (Podell et al. 2023, sec. 2.5)."""

from typing import Annotated

from pydantic import Field

from jobs.wire import MAX_ID_CHARS, Wire, same_field

SWITCH_AT = 0.8  # diffusers' and the web UI's example


class ResolvedRefiner(Wire):
    """A refiner with every default filled in."""

    model: str = Field(
        description="Id of a model of the family `sdxl-refiner`. Default: the first of them.",
        examples=["sdxl-refiner"],
    )
    switch_at: float = Field(
        SWITCH_AT,
        description="Share of the noise that the base model removes: the refiner takes the steps after it.",
        examples=[SWITCH_AT],
    )


class Refiner(Wire):
    """A second model for the last steps."""

    model: Annotated[str | None, Field(max_length=MAX_ID_CHARS)] = same_field(ResolvedRefiner, "model")
    switch_at: Annotated[float, Field(gt=0, lt=1)] = same_field(ResolvedRefiner, "switch_at", SWITCH_AT)
