"""Resizing a picture as the extras of A1111 do, by its API's fields and defaults."""

from typing import Literal

from PIL import Image, ImageOps
from PIL.Image import Resampling
from pydantic import ConfigDict, Field

from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refusals import NotSupportedError
from jobs.errors import InvalidRequestError

RESAMPLERS = {"Lanczos": Resampling.LANCZOS, "Nearest": Resampling.NEAREST}
MOST_PIXELS = 16_000_000
_NONE = "None"
_BY_FACTOR = 0  # of resize_mode; 1 is to a size


class Resizing(LeavesOut):
    """The fields that say how a picture is resized. Other fields are ignored, as A1111 does."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    resize_mode: Literal[0, 1] = 0
    upscaling_resize: float = Field(2, gt=0, le=8)
    upscaling_resize_w: int = Field(512, ge=1, le=16_384)
    upscaling_resize_h: int = Field(512, ge=1, le=16_384)
    upscaling_crop: bool = True
    upscaler_1: str = Field(_NONE, max_length=200)
    upscaler_2: str = Field(_NONE, max_length=200)
    extras_upscaler_2_visibility: float = Field(0, ge=0, le=1)
    gfpgan_visibility: float = Field(0, ge=0, le=1)
    codeformer_visibility: float = Field(0, ge=0, le=1)

    def check(self) -> None:
        """Refuse what is not served.

        Raises:
            NotSupportedError: a restorer of faces is on, or an upscaler is no way of resizing.
        """
        for name in ("gfpgan_visibility", "codeformer_visibility"):
            if getattr(self, name):
                raise NotSupportedError(f"{name} is not supported: no model here restores faces", field=name)
        for name in ("upscaler_1", "upscaler_2"):
            if getattr(self, name) not in (_NONE, *RESAMPLERS):
                raise NotSupportedError(
                    f"here an upscaler is one of {_NONE}, {', '.join(RESAMPLERS)}; Real-ESRGAN works on pictures "
                    "while they are made: see upscale in POST /v1/jobs",
                    field=name,
                )

    def of(self, picture: Image.Image) -> Image.Image:
        """The picture at its new size; by both upscalers if the second one is visible.

        Raises:
            InvalidRequestError: that has too many pixels.
        """
        resized = self._by(self.upscaler_1, picture)
        if not self.extras_upscaler_2_visibility or self.upscaler_2 == _NONE:
            return resized
        other = self._by(self.upscaler_2, picture)
        if other.size != resized.size:  # the first one is None
            resized = resized.resize(other.size, Resampling.LANCZOS)
        return Image.blend(resized, other, self.extras_upscaler_2_visibility)

    def _by(self, upscaler: str, picture: Image.Image) -> Image.Image:
        if upscaler == _NONE:
            return picture
        width, height, field = self._size(picture)
        if width * height > MOST_PIXELS:
            raise InvalidRequestError(
                f"the result would have {width} x {height} pixels, and at most {MOST_PIXELS} are made",
                field=field,
            )
        how = RESAMPLERS[upscaler]
        if self.resize_mode == _BY_FACTOR:
            return picture.resize((width, height), how)
        if self.upscaling_crop:
            return ImageOps.fit(picture, (width, height), how)
        return ImageOps.contain(picture, (width, height), how)

    def _size(self, picture: Image.Image) -> tuple[int, int, str]:
        """The width and height of the result, and the field that says so."""
        if self.resize_mode != _BY_FACTOR:
            return self.upscaling_resize_w, self.upscaling_resize_h, "upscaling_resize_w"
        width, height = (max(1, int(side * self.upscaling_resize)) for side in picture.size)
        return width, height, "upscaling_resize"
