"""From the request for a night to what it is to do."""

from hashlib import sha256

from fastapi import Request
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from app.api.access.caller import identity_of
from app.api.intake.submission import moderated, resolve_for
from app.api.services import services_of
from jobs.errors import InvalidRequestError, LodestarError
from jobs.nights.plan import NightPlan
from jobs.nights.record import label_of
from jobs.queue.submission import NATIVE, new_job_id
from jobs.requests.enlarging import Upscale
from jobs.requests.pictures import pictures_in
from jobs.requests.request import GenerateRequest, Priority
from jobs.requests.selection import Selection
from jobs.status.night import NightRequest
from jobs.wire import MAX_LABELS, dump_as_stored

_OWN = {
    "num_images": "each of its jobs makes one picture",
    "upscale": "it enlarges what it keeps in the end; upscale beside the request says whether",
    "variation": "each of its pictures has a seed of its own",
    "webhook": "a night sends no messages yet",
}
_FIELDS = {"select.scorer": "scorer", "select.by": "by", "upscale": "upscale", "upscale.factor": "upscale"}


def night_id_of(tenant: str, caller: str, key: str | None) -> str:
    """The id of a new night; the same for the same idempotency key of a caller."""
    if key is None:
        return new_job_id()
    return sha256("\n".join((tenant, caller, key)).encode()).hexdigest()[:28]


async def plan_night(request: Request, wanted: NightRequest, night_id: str, caller: str) -> NightPlan:
    """What a night is to do, with every default of its pictures filled in.

    Raises:
        LodestarError: as for ``resolve`` and ``Moderator.judge``, or its request has what a night has no use for.
    """
    asked = wanted.request
    _require_fitting(asked)
    _require_kept(wanted.hours, services_of(request).settings.retention_s)
    full = asked.model_copy(
        update={
            "select": Selection(candidates=1, by=wanted.by, scorer=wanted.scorer),
            "upscale": Upscale(factor=4) if wanted.upscale else None,
            "priority": asked.priority if "priority" in asked.model_fields_set else Priority.LOW,
            "labels": (*asked.labels, label_of(night_id)),
        }
    )
    try:
        resolved = await run_in_threadpool(resolve_for, full, services_of(request))
    except LodestarError as error:
        if error.field is not None:
            error.field = _FIELDS.get(error.field, f"request.{error.field}")
        raise
    presentation = await moderated(request, full, NATIVE)
    return NightPlan(
        request=resolved,
        hours=wanted.hours,
        keep=wanted.keep,
        by=wanted.by,
        identity=identity_of(request),
        caller=caller,
        notes=presentation.notes,
        digest=sha256(to_json(dump_as_stored(wanted))).hexdigest(),
    )


def _require_kept(hours: float, retention_s: float) -> None:
    """Refuse a night whose first pictures would expire before its end.

    Raises:
        InvalidRequestError: they would.
    """
    if 0 < retention_s < hours * 3600:
        raise InvalidRequestError(
            f"this server keeps pictures for {retention_s / 3600:g} hours, and a night may not be longer",
            field="hours",
        )


def _require_fitting(asked: GenerateRequest) -> None:
    """Refuse a request that has what a night has no use for.

    Raises:
        InvalidRequestError: it has.
    """
    for name, reason in _OWN.items():
        if getattr(asked, name) != GenerateRequest.model_fields[name].default:
            raise InvalidRequestError(f"a night takes no {name}: {reason}", field=f"request.{name}")
    # What answers show of a night may be sent again.
    if asked.select is not None and asked.select.candidates > 1:
        raise InvalidRequestError(
            "a night takes no select: by, scorer and keep beside the request choose", field="request.select"
        )
    for place in pictures_in(asked):
        raise InvalidRequestError(
            "a night takes no pictures yet", field=".".join(map(str, ("request", *place)))
        )
    if len(asked.labels) >= MAX_LABELS:
        raise InvalidRequestError(
            f"a night adds a label of its own: give at most {MAX_LABELS - 1}", field="request.labels"
        )
