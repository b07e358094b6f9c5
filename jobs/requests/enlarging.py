"""Pictures larger than a model draws them at first: upscaling, and a second pass at a larger size."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from jobs.requests.start.plan import MAX_STEPS, MIN_STRENGTH, StepPlan, plan_from_picture
from jobs.wire import Wire, same_field


def _number_from_text(factor: object) -> object:
    # Queries and forms hold text, which pydantic takes for numbers but not for one of several.
    return int(factor) if isinstance(factor, str) and factor.isdecimal() else factor


_FACTOR = Field(description="Factor of the width and of the height.", examples=[2])


class ResolvedUpscale(Wire):
    """Upscaling with every default filled in."""

    factor: Annotated[int, _FACTOR]
    model: str = Field(description="The Real-ESRGAN network.")


class Upscale(Wire):
    """Real-ESRGAN on the finished pictures."""

    answered = ResolvedUpscale
    factor: Annotated[Literal[2, 4], BeforeValidator(_number_from_text), _FACTOR]


class HiresUpscaler(StrEnum):
    """What enlarges the result of the first pass: an interpolation of latents or pixels, or a Real-ESRGAN network."""

    LATENT = "latent"
    LATENT_ANTIALIASED = "latent_antialiased"
    LATENT_BICUBIC = "latent_bicubic"
    LATENT_BICUBIC_ANTIALIASED = "latent_bicubic_antialiased"
    LATENT_NEAREST = "latent_nearest"
    LATENT_NEAREST_EXACT = "latent_nearest_exact"
    LANCZOS = "lanczos"
    NEAREST = "nearest"
    X4PLUS = "x4plus"
    X4PLUS_ANIME = "x4plus-anime"


LATENT_MODES = {
    HiresUpscaler.LATENT: ("bilinear", False),
    HiresUpscaler.LATENT_ANTIALIASED: ("bilinear", True),
    HiresUpscaler.LATENT_BICUBIC: ("bicubic", False),
    HiresUpscaler.LATENT_BICUBIC_ANTIALIASED: ("bicubic", True),
    HiresUpscaler.LATENT_NEAREST: ("nearest", False),
    HiresUpscaler.LATENT_NEAREST_EXACT: ("nearest-exact", False),
}
"""Those that interpolate latents: the mode, as PyTorch names it, and whether it is antialiased."""

NETWORKS = frozenset({HiresUpscaler.X4PLUS, HiresUpscaler.X4PLUS_ANIME})
"""Real-ESRGAN's networks, which enlarge pixels by four."""


class ResolvedHires(Wire):
    """The second pass with every default filled in."""

    scale: float | None = Field(
        description="Factor of the width and of the height, which are then rounded to what the model can make. "
        "Default: 2, or none if `width` or `height` says how large the picture becomes.",
        examples=[2],
    )
    upscaler: HiresUpscaler = Field(
        description="What enlarges the result of the first pass: `latent` and its kinds interpolate the latents, which "
        "needs a `strength` of about 0.5 or more to become sharp; `lanczos` and `nearest` interpolate the picture; "
        "`x4plus` and `x4plus-anime` are Real-ESRGAN networks, for which workers need the extra `upscale`.",
    )
    strength: float = Field(
        description="How far the second pass may go from the enlarged result of the first: the share of the noise "
        "schedule that it runs. At 1 nothing of the first pass remains. Left out, it is at least what `steps` need.",
        examples=[0.7],
    )
    steps: int = Field(
        description="Steps that the second pass runs, whatever `strength` is, of a longer schedule. Default: the "
        "request's `steps`.",
        examples=[25],
    )
    width: int = Field(
        description="Width of the finished picture in pixels, in place of `scale`. If only one side is given, the "
        "other follows the shape of the first pass; if both are, what is too wide or too high is cut off.",
        examples=[128],
    )
    height: int = Field(description="Height of the finished picture in pixels, likewise.", examples=[128])

    @property
    def plan(self) -> StepPlan:
        """The steps of the second pass."""
        return plan_from_picture(self.steps, self.strength, exact=True)


class Hires(Wire):
    """A second pass at a larger size, which starts from the result of the first."""

    scale: Annotated[float | None, Field(gt=1, le=8)] = same_field(ResolvedHires, "scale")
    width: Annotated[int | None, Field(ge=8, le=4096)] = same_field(ResolvedHires, "width")
    height: Annotated[int | None, Field(ge=8, le=4096)] = same_field(ResolvedHires, "height")
    upscaler: HiresUpscaler = same_field(ResolvedHires, "upscaler", HiresUpscaler.LATENT)
    strength: Annotated[float, Field(ge=MIN_STRENGTH, le=1)] = same_field(ResolvedHires, "strength", 0.7)
    steps: Annotated[int | None, Field(ge=1, le=MAX_STEPS)] = same_field(ResolvedHires, "steps")

    @model_validator(mode="before")
    @classmethod
    def _as_answered(cls, fields: Any) -> Any:
        """Answers show the sides that come of the scale beside it, and may be sent again."""
        if not isinstance(fields, dict) or not ResolvedHires.model_fields.keys() <= fields.keys():
            return fields
        sides = set() if fields["scale"] is None else {"width", "height"}
        return {name: value for name, value in fields.items() if name not in sides}
