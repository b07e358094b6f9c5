"""The body of ``images.generate``, and the native request that it stands for."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from app.api.dialects.conditions import (
    ConditionFields,
    condition_fields,
    weights_of_nothing,
    with_its_picture,
)
from app.api.dialects.customary import (
    CustomaryFields,
    WithoutEffect,
    ignored_switches,
    names_strength,
    native_fields,
    notes_on,
)
from app.api.dialects.editing import EditFields, edit_fields, without_effect
from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refining import RefinerFields, refiner_fields, unread_refiner_fields
from app.api.dialects.sizes import SIZE, in_any_case, size_of
from app.api.dialects.submission import native_request
from app.api.pictures.formats import Format
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest
from jobs.requests.start.plan import least_strength

_MOST_STEPS = 250
_MAX_NAME_CHARS = 512  # answers repeat them
_LOSSLESS = 100  # of output_compression
# Factor of the model's default number of steps for a quality; 1 for the others.
_EFFORT = {"low": 0.5, "high": 2.0, "hd": 2.0, "xhigh": 3.0, "max": 4.0}
_QUALITIES = {"low": "low", "high": "high", "hd": "high", "xhigh": "xhigh", "max": "max"}


def _as_b64_json(value: object) -> object:
    return "b64_json" if value == "base64" else value  # as some other servers of this API call it


class ImageGeneration(
    LeavesOut, CustomaryFields, ConditionFields, RefinerFields, EditFields, WithoutEffect, GenerateRequest
):
    """OpenAI's fields and the customary ones beside all native ones."""

    events: ClassVar[str] = "image_generation"
    """What the names of a stream's events begin with."""

    n: int | None = Field(None, ge=1, le=10)
    size: Annotated[str | None, BeforeValidator(in_any_case), Field(pattern=SIZE)] = None
    response_format: Annotated[Literal["url", "b64_json"] | None, BeforeValidator(_as_b64_json)] = None
    output_format: Format | None = None
    output_compression: int | None = Field(None, ge=0, le=100)
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    moderation: Literal["low", "auto"] | None = None
    user: str | None = Field(None, max_length=_MAX_NAME_CHARS)
    safety_identifier: str | None = Field(None, max_length=_MAX_NAME_CHARS)
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=3)

    # Of OpenAI's own models.
    style: Any = None
    complexity: Any = None
    frame_count: Any = None
    frame_duration_ms: Any = None
    svg: Any = None

    @property
    def starts_from_picture(self) -> bool:
        """Whether the caller says that the run starts from its picture, for a model that edits one."""
        return names_strength(self)

    @property
    def picture_format(self) -> Format:
        """The requested format; PNG by default."""
        return self.output_format or Format.PNG

    @property
    def picture_quality(self) -> int | None:
        """The quality of a JPEG or WebP; None for the usual one."""
        return None if self.picture_format is Format.PNG else self.output_compression

    @property
    def resolved_quality(self) -> str:
        """The quality by one of the names that answers may have."""
        return _QUALITIES.get(self.quality or "", "medium")

    def notes(self, wanted: GenerateRequest) -> tuple[str, ...]:
        """A sentence on everything that has no effect; ``wanted`` is the native request that it came to."""
        ignored = [name for name in _OPENAIS_OWN if getattr(self, name) is not None]
        unread = unread_refiner_fields(self, is_refined=wanted.refiner is not None)
        switches = [*ignored_switches(self), *without_effect(self, wanted)]
        notes = notes_on([*ignored, *switches, *unread, *weights_of_nothing(self)])
        if self.background == "transparent":
            notes += ("background is opaque: no model here makes a transparent one",)
        if self.partial_images and not self.stream:
            notes += ("partial_images has no effect without stream",)
        if self.stream and self.response_format == "url":
            notes += ("response_format has no effect on a stream, which carries its pictures as b64_json",)
        return notes


_OPENAIS_OWN = ("style", "complexity", "frame_count", "frame_duration_ms", "svg")


def to_native(body: ImageGeneration, catalog: Catalog) -> tuple[GenerateRequest, dict[str, str]]:
    """The native request that a body stands for, and the caller's name of each of its fields.

    Raises:
        InvalidRequestError: fields contradict each other, or are not supported.
        UnknownModelError: the catalog does not hold the model.
        RequestValidationError: a field has a value that cannot be served.
    """
    _refuse_contradictions(body)
    given = with_its_picture(body)
    fields, names = native_fields(given)
    card = catalog.model(body.model)
    for added in (condition_fields(given, card, catalog), refiner_fields(given, card, catalog)):
        fields, names = fields | added.fields, names | added.names
    fields, names = edit_fields(fields, names, given, card, starts=body.starts_from_picture)
    fields["prompt"] = body.prompt  # a variation's may be left out
    names["mask.image"] = "mask"
    if body.n is not None:
        if "num_images" in fields:
            raise InvalidRequestError(
                f"n and {names['num_images']} are the same: give one of them", field="n"
            )
        fields["num_images"], names["num_images"] = body.n, "n"
    if size := size_of(body.size):
        fields |= size
        names |= {"width": "size", "height": "size"}
    steps = fields.get("steps") or card.steps
    if "steps" not in fields and body.quality in _EFFORT:
        steps = min(max(1, round(steps * _EFFORT[body.quality])), _MOST_STEPS)
        fields["steps"] = steps
    if not body.starts_from_picture and "strength" in fields.get("init", {}):
        # The strength is our choice, so it must not be what a caller is refused for.
        init = fields["init"]
        least = least_strength(steps, exact=bool(init.get("exact_steps")))
        fields["init"] = {**init, "strength": max(init["strength"], least)}
    if body.partial_images and body.stream and body.preview_every_steps is None:
        # So that as many previews fall between the first step and the last.
        fields["preview_every_steps"] = min(max(1, steps // (body.partial_images + 1)), _MOST_STEPS)
    return native_request(fields, names), names


def _refuse_contradictions(body: ImageGeneration) -> None:
    if body.size and body.model_fields_set & {"width", "height"}:
        raise InvalidRequestError("give either size, or width and height", field="size")
    if body.picture_format is Format.PNG and body.output_compression not in {None, _LOSSLESS}:
        raise InvalidRequestError(
            "needs output_format jpeg or webp: a PNG loses nothing", field="output_compression"
        )
