"""Choose the sampler and the noise schedule of a job."""

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import WITH_ETA, SamplerName, ScheduleName, unsupported


def resolve_sampling(request: GenerateRequest, card: ModelCard) -> tuple[SamplerName, ScheduleName]:
    """The sampler and the schedule of a request; a model's default schedule belongs to its default sampler.

    Raises:
        InvalidRequestError: the sampler does not support the schedule, or has no ``eta``.
    """
    if request.sampler is None:
        sampler, schedule = card.sampler, request.schedule or card.schedule
    else:
        sampler, schedule = request.sampler, request.schedule or ScheduleName.DEFAULT
    if reason := unsupported(sampler, schedule):
        raise InvalidRequestError(reason, field="schedule")
    if request.eta and sampler not in WITH_ETA:
        reason = f"eta is of the samplers {' and '.join(WITH_ETA)} alone, and this is {sampler}"
        raise InvalidRequestError(reason, field="eta")
    return sampler, schedule
