"""The body of ``images.generate``, and the native request that it stands for."""

from typing import Literal

from pydantic import Field, field_validator

from app.api.dialects.left_out import LeavesOut
from app.api.dialects.submission import native_request
from app.api.pictures.formats import Format
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest

_SIZE = r"^(auto|[0-9]{1,4}x[0-9]{1,4})$"
_MOST_STEPS = 250
_MAX_NAME_CHARS = 512  # answers repeat them
# Factor of the model's default number of steps for a quality; 1 for the others.
_EFFORT = {"low": 0.5, "high": 2.0, "hd": 2.0}


class ImageGeneration(LeavesOut, GenerateRequest):
    """OpenAI's fields beside all native ones."""

    n: int | None = Field(None, ge=1, le=10)
    size: str | None = Field(None, pattern=_SIZE)
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Format | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    style: str | None = None
    moderation: Literal["low", "auto"] | None = None
    user: str | None = Field(None, max_length=_MAX_NAME_CHARS)
    safety_identifier: str | None = Field(None, max_length=_MAX_NAME_CHARS)
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3)

    @field_validator("size", mode="before")
    @classmethod
    def _in_any_case(cls, size: object) -> object:
        return size.lower() if isinstance(size, str) else size

    @property
    def picture_format(self) -> Format:
        """The requested format; PNG by default."""
        return self.output_format or Format.PNG


def to_native(body: ImageGeneration, catalog: Catalog) -> GenerateRequest:
    """The native request that a body stands for.

    Raises:
        InvalidRequestError: fields contradict each other, or are not supported.
        UnknownModelError: the catalog does not hold the model.
    """
    _refuse_contradictions(body)
    given = body.model_fields_set & GenerateRequest.model_fields.keys()
    fields = {name: getattr(body, name) for name in given}
    if body.n is not None:
        fields["num_images"] = body.n
    if body.size not in {None, "auto"}:
        fields["width"], fields["height"] = (int(px) for px in str(body.size).split("x"))
    steps = body.steps or catalog.model(body.model).steps
    if body.steps is None and body.quality in _EFFORT:
        steps = min(max(1, round(steps * _EFFORT[body.quality])), _MOST_STEPS)
        fields["steps"] = steps
    if body.partial_images and body.preview_every_steps is None:
        # So that as many previews fall between the first step and the last.
        fields["preview_every_steps"] = max(1, steps // (body.partial_images + 1))
    return native_request(fields, names_of(body))


def names_of(body: ImageGeneration) -> dict[str, str]:
    """The caller's names of the native fields."""
    names = {"num_images": "n"} if body.n is not None else {}
    return names | ({"width": "size", "height": "size"} if body.size else {})


def _refuse_contradictions(body: ImageGeneration) -> None:
    given = body.model_fields_set
    if body.n is not None and "num_images" in given:
        raise InvalidRequestError("n and num_images are the same: give one of them", field="n")
    if body.size and given & {"width", "height"}:
        raise InvalidRequestError("give either size, or width and height", field="size")
    if body.background == "transparent":
        raise InvalidRequestError("every picture has an opaque background", field="background")
    if body.style is not None:
        raise InvalidRequestError("describe the style in the prompt instead", field="style")
    if body.partial_images and not body.stream:
        raise InvalidRequestError("partial images need stream: true", field="partial_images")
    if body.stream and body.response_format == "url":
        raise InvalidRequestError("a stream carries its pictures as b64_json", field="response_format")
    if body.output_compression is not None:
        if body.picture_format is Format.PNG:
            raise InvalidRequestError(
                "needs output_format jpeg or webp: a PNG loses nothing", field="output_compression"
            )
        if body.response_format == "url":
            raise InvalidRequestError("needs response_format b64_json", field="output_compression")
