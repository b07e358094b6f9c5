"""The optional dependencies that ``pyproject.toml`` lists."""

from typing import Literal

Extra = Literal["api", "c2pa", "safety", "search", "upscale", "worker"]


def missing(purpose: str, extra: Extra) -> str:
    """The message for a missing extra. It names the checkout, since no package index serves this package."""
    return f"{purpose} needs the extra {extra!r}: run pip install '.[{extra}]' in the checkout"
