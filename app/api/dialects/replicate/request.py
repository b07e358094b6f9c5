"""The body of a prediction, and the native request that it stands for."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.dialects.left_out import LeavesOut
from app.api.dialects.replicate.schedulers import CUSTOMARY as SCHEDULERS
from app.api.dialects.replicate.schedulers import sampling_named
from app.api.dialects.submission import native_request
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest, WebhookEvent
from jobs.requests.samplers import ScheduleName
from jobs.wire import AtMost, Wire

# The customary names of Stable Diffusion on Replicate, by the native ones.
CUSTOMARY = {
    "num_images": "num_outputs",
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "sampler": "scheduler",
}
_WEBHOOK_EVENTS = {"start": WebhookEvent.STARTED, "completed": WebhookEvent.DONE}


class PredictionInput(LeavesOut, GenerateRequest):
    """The native fields, and the customary fields of models on Replicate."""

    num_outputs: int | None = Field(None, description="Number of pictures to make.")
    num_inference_steps: int | None = Field(None, description="Sampling steps for each picture.")
    guidance_scale: float | None = Field(None, description="Classifier-free guidance scale.")
    scheduler: str | None = Field(
        None, description=f"Solver of the reverse diffusion: {', '.join(SCHEDULERS)}, or a native name."
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


def to_native(body: PredictionBody, model_id: str) -> GenerateRequest:
    """The native request that a body stands for.

    Raises:
        InvalidRequestError: fields contradict each other, or are not supported.
        RequestValidationError: a customary field has a value that cannot be served.
    """
    given = body.input.model_fields_set
    if "model" in given:
        raise InvalidRequestError("the model is named by the path, or by version", field="input.model")
    native: dict[str, Any] = {
        name: getattr(body.input, name) for name in given & GenerateRequest.model_fields.keys()
    }
    for name, customary in CUSTOMARY.items():
        value = getattr(body.input, customary)
        if value is None:
            continue
        if name in given:
            raise InvalidRequestError(
                f"{customary} and {name} are the same: give one of them", field=f"input.{customary}"
            )
        native |= _sampling(value, body.input.schedule) if name == "sampler" else {name: value}
    if body.webhook is not None:
        native["webhook"] = {"url": body.webhook, "events": _webhook_events(body)}
    return native_request(native | {"model": model_id}, names_of(body))


def _sampling(scheduler: str, schedule: ScheduleName | None) -> dict[str, Any]:
    """The native fields of a ``scheduler``, whose name may include the schedule."""
    sampler, included = sampling_named(scheduler, field="input.scheduler")
    if included is ScheduleName.DEFAULT:
        return {"sampler": sampler}
    if schedule not in (None, included):
        message = f"scheduler {scheduler} implies schedule {included}; for another one, give {sampler}"
        raise InvalidRequestError(message, field="input.schedule")
    return {"sampler": sampler, "schedule": included}


def names_of(body: PredictionBody) -> dict[str, str]:
    """The caller's names of the native fields."""
    names = {
        name: f"input.{CUSTOMARY[name]}"
        if name in CUSTOMARY and getattr(body.input, CUSTOMARY[name]) is not None
        else f"input.{name}"
        for name in GenerateRequest.model_fields
    }
    return names | ({} if body.webhook is None else {"webhook": "webhook"})


def _webhook_events(body: PredictionBody) -> list[WebhookEvent]:
    wanted = _WEBHOOK_EVENTS if body.webhook_events_filter is None else body.webhook_events_filter
    events = [_WEBHOOK_EVENTS[name] for name in wanted if name in _WEBHOOK_EVENTS]
    if not events:
        raise InvalidRequestError(
            "a webhook gets messages at the start and at the end, and none between",
            field="webhook_events_filter",
        )
    return list(dict.fromkeys(events))
