"""Outpainting: pixels that are added around a picture, and painted."""

from typing import Annotated

from pydantic import Field

from jobs.wire import Wire, same_field

MAX_OUTPAINT_PX = 4096


class ResolvedOutpaint(Wire):
    """Outpainting with every default filled in."""

    left: int = Field(0, description="Pixels to add on the left.", examples=[16])
    right: int = Field(0, description="Pixels to add on the right.")
    up: int = Field(0, description="Pixels to add above.")
    down: int = Field(0, description="Pixels to add below.")

    @property
    def sides(self) -> dict[str, int]:
        """The pixels of each side, by its name."""
        return {name: getattr(self, name) for name in ResolvedOutpaint.model_fields}

    def grown(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a picture of this size with what is added."""
        return self.left + width + self.right, self.up + height + self.down


_Side = Annotated[int, Field(ge=0, le=MAX_OUTPAINT_PX)]


class Outpaint(Wire):
    """Add pixels around `init.image`, and paint them."""

    left: _Side = same_field(ResolvedOutpaint, "left", 0)
    right: _Side = same_field(ResolvedOutpaint, "right", 0)
    up: _Side = same_field(ResolvedOutpaint, "up", 0)
    down: _Side = same_field(ResolvedOutpaint, "down", 0)
