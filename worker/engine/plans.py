"""What each kind of job asks of the engine: which models it keeps, and which samplers run."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import Task
from worker.calls import Call
from worker.engine.tasks import run_task
from worker.models.registry import Ref
from worker.pictures.inputs import Inputs
from worker.sampling.sampler import Extras, sample

# Pictures of one job in the making at a time: enough to fill a batch, and few enough that a job of hundreds has its
# first ones to show soon.
AT_ONCE = 16


@dataclass(frozen=True)
class Plan:
    """One job's part.

    Attributes:
        refs: models and CLIPs that it needs from its start to its end.
        steps: in all, for its progress.
        samplers: one for each of its results; made as they are taken.
        results: how many these are.
    """

    refs: tuple[Ref, ...]
    steps: int
    samplers: Iterator[Generator[Call, Any, Any]]
    results: int


def plan(request: ResolvedRequest | Task, inputs: Inputs, catalog: Catalog) -> Plan:
    """The plan of a job.

    Raises:
        UnknownModelError: the catalog does not hold a model that it names.
    """
    if not isinstance(request, ResolvedRequest):
        catalog.clip(request.clip)
        steps = len(inputs.pictures)
        return Plan((Ref("clip", request.clip),), steps, iter([run_task(request, inputs)]), 1)
    card = catalog.model(request.model)
    guides = request.guidance.clips if request.guidance else (card.clip,)
    judge = guides[0]
    extras = Extras(catalog.aesthetic_scorer.id, card.text_clip, inputs.tastes, inputs.prompts)
    clips = [*guides, extras.critic]
    if request.select is not None:
        clips.append(request.select.scorer)
    if request.personalization is not None:
        clips.append(card.text_clip)
    return Plan(
        (Ref("model", card.id), *(Ref("clip", clip) for clip in dict.fromkeys(clips) if clip is not None)),
        request.steps * request.num_images,
        (sample(request, index, judge, extras) for index in range(request.num_images)),
        request.num_images,
    )
