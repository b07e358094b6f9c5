"""Pictures larger than a model draws them: upscaling."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from jobs.wire import Wire


def _number_from_text(factor: object) -> object:
    # Queries and forms hold text, which pydantic takes for numbers but not for one of several.
    return int(factor) if isinstance(factor, str) and factor.isdecimal() else factor


_FACTOR = Field(description="Factor of the width and of the height.", examples=[2])


class Upscale(Wire):
    """Real-ESRGAN on the finished pictures."""

    factor: Annotated[Literal[2, 4], BeforeValidator(_number_from_text), _FACTOR]


class ResolvedUpscale(Wire):
    """Upscaling with every default filled in."""

    factor: Annotated[int, _FACTOR]
    model: str = Field(description="The Real-ESRGAN network.")
