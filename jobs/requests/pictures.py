"""Pictures in requests: one type of field for all of them, and a walk that finds every one in a request."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_PLACE = "/v1/(?:jobs|signed-images)/"
REF_PATTERN = rf"^(?:{_PLACE})?([0-9a-f]{{1,64}})(?:/(?:images/)?([0-9]{{1,4}}))?(?:\.(?:png|webp|jpe?g))?$"
MAX_URL_CHARS = 2000
PICTURE_FORMAT = "picture"
"""The ``format`` of a field that takes a picture, in JSON schemas."""

_KEPT = re.compile(r"(?:/v1/(?:uploads|files)/)?sha256:([0-9a-f]{64})(?:/content)?", re.ASCII | re.IGNORECASE)
_OF_JOB = re.compile(REF_PATTERN, re.ASCII)
_URL = re.compile(r"https?://", re.ASCII | re.IGNORECASE)
_DATA_URL = re.compile(r"\A\s*data:[^,]*;\s*base64\s*,", re.ASCII | re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]
"""The names and numbers that lead to a field."""


@dataclass(frozen=True)
class OfJob:
    """A picture of a finished job."""

    job_id: str
    index: int


class Picture(str):
    """A picture as a request names it; declare a field ``image: Picture``, and the intake does the rest.

    It has one of four forms: ``sha256:<digest>`` of an upload, or of a picture that a job keeps; ``JOB/INDEX``, a
    picture of a finished job; a file in base64; or an address. The intake reads it, keeps it beside the job as a PNG
    file, and replaces the field by ``sha256:<digest>``: so a resolved request holds no other form.

    The class says how it is kept: here every pixel of it, in RGB, on white where it is transparent.
    """

    __slots__ = ()
    keeps_alpha: ClassVar[bool] = False
    is_thumbnail: ClassVar[bool] = False
    forms: ClassVar[str] = (
        "The id of an upload, `sha256:` and 64 digits; a picture of a finished job, `JOB/INDEX`; or a PNG, JPEG or "
        "WebP file in base64, also as a data URL. An address, if the server's operator allows it."
    )
    """What a caller may give, for the description of a field."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A string, brought into one form."""
        return core_schema.no_info_after_validator_function(cls._in_one_form, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A string that forms know for a picture."""
        return {**handler(schema), "format": PICTURE_FORMAT}

    @classmethod
    def kept_as(cls, digest: str) -> Self:
        """The name of a stored picture."""
        return cls(f"sha256:{digest}")

    @property
    def digest(self) -> str | None:
        """SHA-256 of a stored picture; None of the other forms."""
        kept = _KEPT.fullmatch(self)
        return kept[1] if kept else None

    @property
    def of_job(self) -> OfJob | None:
        """A job's picture; None of the other forms."""
        parts = _OF_JOB.fullmatch(self)
        return OfJob(parts[1], int(parts[2])) if parts and parts[2] else None

    @property
    def url(self) -> str | None:
        """Its address; None of the other forms."""
        return str(self) if _URL.match(self) else None

    @property
    def data(self) -> bytes:
        """The file, if it is in the request.

        Raises:
            ValueError: it has another form.
        """
        return base64.b64decode(self, validate=True)

    @classmethod
    def _in_one_form(cls, text: str) -> Self:
        short = text[: MAX_URL_CHARS + 1].strip()
        # No file of a format that is read begins with such letters in base64.
        if named := named_by_path(short):
            return cls(named)
        if _URL.match(short):
            if len(short) > MAX_URL_CHARS:
                raise ValueError(f"an address may have at most {MAX_URL_CHARS} characters")
            return cls(short)
        return cls(base64.b64encode(_decoded(text)).decode())


class MaskPicture(Picture):
    """A picture that is kept with its transparency: in RGBA, or in RGB if it is opaque."""

    __slots__ = ()
    keeps_alpha = True


class Thumbnail(Picture):
    """A picture that only a CLIP looks at: kept no larger than that is of use."""

    __slots__ = ()
    is_thumbnail = True


@dataclass(frozen=True)
class PictureFacts:
    """What a request's resolution may need to know of a stored picture.

    Attributes:
        width: in pixels, upright.
        height: likewise.
        levels: the lowest and the highest level of each channel, 0 to 255: three channels, or four with the alpha.
    """

    width: int
    height: int
    levels: tuple[tuple[int, int], ...]


def named_by_path(text: str) -> str | None:
    """The plain name of a stored picture or a job's, by itself or by its path on the server; None for anything else."""
    if kept := _KEPT.fullmatch(text):
        return f"sha256:{kept[1].lower()}"
    parts = _OF_JOB.fullmatch(text)
    return f"{parts[1]}/{int(parts[2])}" if parts and parts[2] else None


def pictures_in(model: BaseModel) -> dict[Place, Picture]:
    """Every picture that a request names, in whatever field, list or inner model, by its place."""
    return dict(_found(model, ()))


def with_pictures(model: Model, names: Mapping[Place, str]) -> Model:
    """The same request with other names of its pictures, by their places; each keeps its class."""
    changed: Model = _replaced(model, (), lambda place, old: type(old)(names.get(place, old)))
    return changed


def _found(value: Any, place: Place) -> Iterator[tuple[Place, Picture]]:
    if isinstance(value, Picture):
        yield place, value
    for key, inner in _inside(value):
        yield from _found(inner, (*place, key))


def _inside(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _replaced(value: Any, place: Place, renamed: Callable[[Place, Picture], Picture]) -> Any:
    if isinstance(value, Picture):
        return renamed(place, value)
    if not any(True for _ in _found(value, ())):
        return value
    new = {key: _replaced(inner, (*place, key), renamed) for key, inner in _inside(value)}
    if isinstance(value, BaseModel):
        # Only what has changed: which fields were given stays known.
        changed = {str(key): inner for key, inner in new.items() if inner is not getattr(value, str(key))}
        return value.model_copy(update=changed)
    return new if isinstance(value, dict) else type(value)(new.values())


def _decoded(image: str) -> bytes:
    """Decode base64 in lines, of either alphabet, with or without padding, in a data URL or not."""
    text = "".join(_DATA_URL.sub("", image, count=1).split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"it is neither the id of an upload, nor JOB/INDEX of a job's picture, and it is not base64: {error}"
        ) from error
