"""The messages of webhooks."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.dialects.replicate.prediction import prediction
from app.api.pictures.signed_links import with_addresses
from jobs.requests.delivery.webhook import WebhookEvent
from jobs.status.job import Job
from jobs.wire import Wire


class WebhookMessage(Wire):
    """The body of a webhook message, in the shape of Standard Webhooks."""

    type: str = Field(description="job.done or job.started.")
    timestamp: datetime = Field(description="When it happened.")
    data: dict[str, Any] = Field(description="The job, as GET /v1/jobs/{id} has it, without its webhook.")


def message_of(job: Job, event: WebhookEvent, addresses: Sequence[str] = ()) -> str:
    """The JSON of a job, or of a prediction if it was submitted as one; that of an end never changes.

    Args:
        job: to tell of.
        event: that happened.
        addresses: of its pictures that need no key, as of ``signed_addresses``, which do change; none for none.
    """
    if job.webhook and (base := job.webhook.prediction_base):
        output = [f"{base}{each}" if each.startswith("/") else each for each in addresses]
        return json.dumps(prediction(base, job, output))
    happened_at = job.finished_at if event is WebhookEvent.DONE else job.started_at
    return WebhookMessage(
        type=f"job.{event}",
        timestamp=happened_at or job.created_at,
        data=with_addresses(job, addresses).model_dump(mode="json", exclude={"webhook"}),
    ).model_dump_json()
