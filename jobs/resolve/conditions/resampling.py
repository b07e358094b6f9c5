"""Resolve steering by search: refuse candidates that would stay copies of each other."""

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import WITH_ETA, WITH_NOISE, SamplerName
from jobs.requests.selection import ResolvedResampling
from jobs.requests.start.plan import StepPlan


def resolve_resampling(
    request: GenerateRequest,
    words: str,
    card: ModelCard,
    sampler: SamplerName,
    plan: StepPlan,
    catalog: Catalog,
) -> ResolvedResampling | None:
    """How the candidates of a request are drawn anew; None if they are not.

    Args:
        request: of the caller.
        words: of its prompt, without syntax.
        card: of its model.
        sampler: of the job.
        plan: the steps of the first pass.
        catalog: the CLIPs.

    Raises:
        InvalidRequestError: the sampler adds no noise, there is no text to compare with, or no step is left for it.
        UnknownModelError: the catalog does not hold the CLIP.
    """
    asked = None if request.select is None else request.select.resample
    if asked is None:
        return None
    field = "select.resample"
    if sampler not in WITH_NOISE and not (sampler in WITH_ETA and request.eta):
        raise InvalidRequestError(
            f"the sampler {sampler} adds no noise, so candidates that are drawn twice would stay the same; give eta to "
            f"{' or '.join(WITH_ETA)}, or take one of: {', '.join(sorted(WITH_NOISE))}",
            field="eta" if sampler in WITH_ETA else "sampler",
        )
    if not words.strip():
        raise InvalidRequestError(
            "the prompt is empty, so no candidate is more like it than another", field=field
        )
    if plan.run < 2:
        raise InvalidRequestError(
            "a run of one step leaves nothing to draw the candidates anew for", field=f"{field}.at"
        )
    clip = catalog.clip(asked.clip or card.clip, f"{field}.clip").id
    return ResolvedResampling(at=asked.at, potential=asked.potential, strength=asked.strength, clip=clip)
