"""Resizing a picture as the extras of A1111 do, by its API's fields and defaults."""

from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageOps
from PIL.Image import Resampling
from pydantic import ConfigDict, Field

from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refusals import NotSupportedError
from jobs.errors import InvalidRequestError
from jobs.requests.enlarging import NETWORKS, HiresUpscaler
from jobs.requests.labels import HIRES_LABELS
from jobs.requests.start.init import Fit

RESAMPLERS = {
    HIRES_LABELS[HiresUpscaler.LANCZOS]: Resampling.LANCZOS,
    HIRES_LABELS[HiresUpscaler.NEAREST]: Resampling.NEAREST,
}
BY_NETWORK = {HIRES_LABELS[network]: network for network in HiresUpscaler if network in NETWORKS}
MOST_PIXELS = 4096 * 4096
MOST_NETWORK_PIXELS = 2 << 20  # of a picture that a network enlarges: it makes 16 times as many
NONE = "None"
_BY_FACTOR = 0  # of resize_mode; 1 is to a size


@dataclass(frozen=True)
class Target:
    """The size that a picture gets: of the result, in pixels, and how its shape is brought there."""

    width: int
    height: int
    fit: Fit


class Resizing(LeavesOut):
    """The fields that say how a picture is resized. Other fields are ignored, as A1111 does."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    resize_mode: Literal[0, 1] = 0
    upscaling_resize: float = Field(2, gt=0, le=8)
    upscaling_resize_w: int = Field(512, ge=1, le=16_384)
    upscaling_resize_h: int = Field(512, ge=1, le=16_384)
    upscaling_crop: bool = True
    upscaler_1: str = Field(NONE, max_length=200)
    upscaler_2: str = Field(NONE, max_length=200)
    extras_upscaler_2_visibility: float = Field(0, ge=0, le=1)
    gfpgan_visibility: float = Field(0, ge=0, le=1)
    codeformer_visibility: float = Field(0, ge=0, le=1)

    def check(self) -> None:
        """Refuse what is not served.

        Raises:
            NotSupportedError: a restorer of faces is on.
            InvalidRequestError: there is no such upscaler.
        """
        for name in ("gfpgan_visibility", "codeformer_visibility"):
            if getattr(self, name):
                raise NotSupportedError(f"{name} is not supported: no model here restores faces", field=name)
        known = (NONE, *RESAMPLERS, *BY_NETWORK)
        for name in ("upscaler_1", "upscaler_2"):
            if getattr(self, name) not in known:
                raise InvalidRequestError(
                    f"there is no upscaler {getattr(self, name)[:50]!r}; there are: {', '.join(known)}",
                    field=name,
                )

    @property
    def upscalers(self) -> dict[str, str]:
        """Names of the upscalers whose results count, by their fields; the first one always does."""
        second = self.upscaler_2 if self.extras_upscaler_2_visibility else NONE
        return {"upscaler_1": self.upscaler_1} | ({"upscaler_2": second} if second != NONE else {})

    def target(self, picture: Image.Image, upscaler: str) -> Target:
        """The size that an upscaler brings a picture to.

        Args:
            picture: as it came.
            upscaler: the field that names it, for an error.

        Raises:
            InvalidRequestError: the picture has too many pixels for the network, or the result would have.
        """
        name = self.upscalers[upscaler]
        if name == NONE:
            return Target(*picture.size, Fit.STRETCH)
        if name in BY_NETWORK and picture.width * picture.height > MOST_NETWORK_PIXELS:
            raise InvalidRequestError(
                f"{name} enlarges pictures of up to {MOST_NETWORK_PIXELS} pixels, and this one has "
                f"{picture.width} x {picture.height}",
                field=upscaler,
            )
        if self.resize_mode == _BY_FACTOR:
            width, height = (max(1, int(side * self.upscaling_resize)) for side in picture.size)
            return _bounded(Target(width, height, Fit.STRETCH), "upscaling_resize")
        width, height = self.upscaling_resize_w, self.upscaling_resize_h
        if self.upscaling_crop:
            return _bounded(Target(width, height, Fit.CROP), "upscaling_resize_w")
        share = min(width / picture.width, height / picture.height)
        width, height = (max(1, round(side * share)) for side in picture.size)
        return _bounded(Target(width, height, Fit.STRETCH), "upscaling_resize_w")

    def together(self, results: list[Image.Image]) -> Image.Image:
        """The results of the upscalers as one picture."""
        first, *others = results
        if not others:
            return first
        if first.size != others[0].size:  # the first upscaler is None
            first = first.resize(others[0].size, Resampling.LANCZOS)
        return Image.blend(first, others[0], self.extras_upscaler_2_visibility)


def resampled(picture: Image.Image, upscaler: str, target: Target) -> Image.Image:
    """A picture at another size, by an upscaler that is no network; ``None`` leaves it alone."""
    if upscaler == NONE:
        return picture
    size, how = (target.width, target.height), RESAMPLERS[upscaler]
    return ImageOps.fit(picture, size, how) if target.fit is Fit.CROP else picture.resize(size, how)


def _bounded(target: Target, field: str) -> Target:
    if target.width * target.height > MOST_PIXELS:
        raise InvalidRequestError(
            f"the result would have {target.width} x {target.height} pixels, and at most {MOST_PIXELS} are made",
            field=field,
        )
    return target
