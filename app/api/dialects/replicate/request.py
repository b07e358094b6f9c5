"""The body of a prediction, and the native request that it stands for."""

from typing import Annotated, Literal

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
from app.api.dialects.sizes import SIZE, in_any_case, size_of, size_of_ratio
from app.api.dialects.submission import native_request
from app.api.pictures.formats import Format, address_end
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.delivery.webhook import WebhookEvent
from jobs.requests.request import GenerateRequest
from jobs.requests.start.mask import Mask
from jobs.wire import AtMost, Wire

_WEBHOOK_EVENTS = {"start": WebhookEvent.STARTED, "completed": WebhookEvent.DONE}
# Of the models that take a picture, or a width and a height beside the ratio.
_NO_RATIOS = frozenset({"custom", "match_input_image"})


def _as_jpeg(value: object) -> object:
    return "jpeg" if value == "jpg" else value


def _picture_alone(value: object) -> object:
    return {"image": value} if isinstance(value, str) else value


class PredictionInput(
    LeavesOut, CustomaryFields, ConditionFields, RefinerFields, EditFields, WithoutEffect, GenerateRequest
):
    """The native fields, and the customary fields of models on Replicate."""

    size: Annotated[str | None, BeforeValidator(in_any_case)] = Field(
        None, pattern=SIZE, description="`WIDTHxHEIGHT` in pixels, or `auto` for the model's own."
    )
    aspect_ratio: str | None = Field(
        None, max_length=20, description="Width to height, such as `16:9`, at about the model's own area."
    )
    output_format: Annotated[Format | None, BeforeValidator(_as_jpeg)] = Field(
        None, description="Format of the pictures: `png`, `webp`, `jpeg` or `jpg`. Default: `png`."
    )
    mask: Annotated[Mask | None, BeforeValidator(_picture_alone)] = Field(
        None,
        description="The part of `image` that is painted anew: a picture, white where it is, or an object with the "
        "fields of inpainting.",
    )
    output_quality: int | None = Field(
        None, ge=0, le=100, description="Quality of `webp` and `jpeg`. Default: no visible difference."
    )


class PredictionBody(LeavesOut, Wire):
    """The body of ``predictions.create`` if the path names the model."""

    input: PredictionInput
    stream: bool | None = None
    webhook: str | None = None
    webhook_events_filter: (
        Annotated[tuple[Literal["start", "output", "logs", "completed"], ...], AtMost(16)] | None
    ) = None


class VersionedPredictionBody(PredictionBody):
    """The body if the path names no model."""

    version: str


def to_native(
    body: PredictionBody, card: ModelCard, catalog: Catalog
) -> tuple[GenerateRequest, dict[str, str]]:
    """The native request that a body stands for, and the caller's name of each of its fields.

    Raises:
        InvalidRequestError: fields contradict each other, or are not supported.
        RequestValidationError: a customary field has a value that cannot be served.
    """
    if "model" in body.input.model_fields_set:
        raise InvalidRequestError("the model is named by the path, or by version", field="input.model")
    given = with_its_picture(body.input, "input.")
    fields, names = native_fields(given, "input.")
    for added in (
        condition_fields(given, card, catalog, "input."),
        refiner_fields(given, card, catalog, "input."),
    ):
        fields, names = fields | added.fields, names | added.names
    fields, names = edit_fields(fields, names, given, card, "input.", starts=names_strength(given))
    source, size = _size(given, card)
    if size:
        if {"width", "height"} & fields.keys():
            raise InvalidRequestError(f"give either {source}, or width and height", field=f"input.{source}")
        fields |= size
        names |= {"width": f"input.{source}", "height": f"input.{source}"}
    if body.webhook is not None:
        fields["webhook"] = {"url": body.webhook, "events": _webhook_events(body)}
        names["webhook"] = "webhook"
    return native_request(fields | {"model": card.id}, names), names


def notes_of(body: PredictionBody, wanted: GenerateRequest) -> tuple[str, ...]:
    """A sentence on everything in a body that has no effect; ``wanted`` is the native request that it came to."""
    unread = unread_refiner_fields(body.input, is_refined=wanted.refiner is not None)
    switches = [*ignored_switches(body.input), *without_effect(body.input, wanted)]
    return notes_on([*switches, *unread, *weights_of_nothing(body.input)])


def picture_suffix(body: PredictionBody) -> str:
    """The end of the pictures' addresses, by which they have the requested format."""
    wanted = body.input.output_format or Format.PNG
    # As on Replicate, where a PNG has no quality.
    return address_end(wanted, None if wanted is Format.PNG else body.input.output_quality)


def _size(body: PredictionInput, card: ModelCard) -> tuple[str, dict[str, int]]:
    """The size that ``size`` or ``aspect_ratio`` stands for, and which of them does."""
    size = size_of(body.size)
    if body.aspect_ratio is None or body.aspect_ratio in _NO_RATIOS:
        return "size", size
    if size:
        raise InvalidRequestError("give either size or aspect_ratio", field="input.aspect_ratio")
    return "aspect_ratio", size_of_ratio(body.aspect_ratio, card, field="input.aspect_ratio")


def _webhook_events(body: PredictionBody) -> list[WebhookEvent]:
    wanted = _WEBHOOK_EVENTS if body.webhook_events_filter is None else body.webhook_events_filter
    events = [_WEBHOOK_EVENTS[name] for name in wanted if name in _WEBHOOK_EVENTS]
    if not events:
        raise InvalidRequestError(
            "a webhook gets messages at the start and at the end, and none between",
            field="webhook_events_filter",
        )
    return list(dict.fromkeys(events))
