"""From a job to the request that makes it again."""

from pydantic import ValidationError

from jobs.errors import InvalidRequestError
from jobs.requests.delivery.webhook import Webhook
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.status.job import Job
from jobs.wording import wording


def request_again(job: Job) -> GenerateRequest:
    """The request of a job, with everything that was filled in, and its webhook unless that tells a prediction.

    Raises:
        InvalidRequestError: the job makes no pictures.
            Or it was accepted by another version, whose bounds were wider.
    """
    if not isinstance(job.request, ResolvedRequest):
        raise InvalidRequestError(f"job {job.id} makes no pictures; send its request again", field="job_id")
    fields = job.request.model_dump(mode="json")
    if job.webhook is not None and job.webhook.prediction_base is None:
        fields["webhook"] = Webhook.model_validate({"url": job.webhook.url, "events": job.webhook.events})
    try:
        return GenerateRequest.model_validate(fields)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise InvalidRequestError(
            f"the request of job {job.id} is not served any more: {place}: {wording(wrong)}", field=place
        ) from error
