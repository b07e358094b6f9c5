"""Seeds, and variations of one: pictures whose noise lies near that of a seed."""

from typing import Annotated

from pydantic import Field

from jobs.wire import Wire, same_field

MAX_SEED = 2**32 - 1


class ResolvedVariation(Wire):
    """Variations with every default filled in."""

    seed: int = Field(
        description="Seed of the first picture's variation; each following picture adds 1. Default: a random seed.",
        examples=[100],
    )
    strength: float = Field(
        description="Share of the angle from the noise of the request's `seed` to that of the variation's seed: 0 is "
        "the former, 1 the latter.",
        examples=[0.1],
    )


class Variation(Wire):
    """Variations of one seed: all pictures of the job have the request's `seed`, and each another variation's."""

    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED)] = same_field(ResolvedVariation, "seed")
    strength: Annotated[float, Field(ge=0, le=1)] = same_field(ResolvedVariation, "strength", ...)
