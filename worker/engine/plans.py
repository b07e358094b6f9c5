"""The plan of a job: the models that it pins, and its samplers."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.catalog.catalog import Catalog
from jobs.catalog.words import words_for
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import DescribeTask, EnlargeTask, Task
from worker.engine.tasks import run_task
from worker.events import Yield
from worker.facts import Facts
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.sampling.inputs import SamplerInputs
from worker.sampling.sampler import sample

# Pictures of one job in progress at a time: enough to fill a batch, and few enough that a job of hundreds finishes its
# first ones soon.
AT_ONCE = 16


@dataclass(frozen=True)
class Plan:
    """The plan of one job.

    Attributes:
        refs: models and CLIPs that it needs from its start to its end.
        steps: in all, for its progress.
        samplers: one for each of its results, made one by one, from the facts of the models.
        results: number of the samplers.
    """

    refs: tuple[Ref, ...]
    steps: int
    samplers: Callable[[Facts], Iterator[Generator[Yield, Any, Any]]]
    results: int


def plan(request: ResolvedRequest | Task, inputs: Inputs, catalog: Catalog) -> Plan:
    """The plan of a job.

    Raises:
        UnknownModelError: the catalog does not hold a model that it names.
        ConfigurationError: the file of a model's words is not usable.
    """
    if isinstance(request, EnlargeTask):
        raise TypeError("pictures are enlarged beside the engine, not in it")
    if not isinstance(request, ResolvedRequest):
        catalog.clip(request.clip)
        task, steps = request, len(inputs.pictures)
        words = words_for(catalog.model(task.words_of)) if isinstance(task, DescribeTask) else None
        return Plan(
            (Ref("clip", task.clip),), steps, lambda facts: iter([run_task(task, inputs, facts, words)]), 1
        )
    card = catalog.model(request.model)
    scorer = request.guidance.clip if request.guidance else card.clip
    if request.select is not None:
        scorer = request.select.scorer
    needed = SamplerInputs(
        scorer,
        catalog.aesthetic_scorer.id,
        card.text_clip,
        inputs.embeddings,
        inputs.named,
        inputs.canvas,
        inputs.hints,
        inputs.image_prompts,
    )
    return Plan(
        refs_of(request, needed),
        request.steps_run * request.num_images,
        lambda facts: (sample(request, index, facts, needed) for index in range(request.num_images)),
        request.num_images,
    )


def refs_of(request: ResolvedRequest, inputs: SamplerInputs) -> tuple[Ref, ...]:
    """The models, adapters of both kinds, ControlNets and CLIPs that the samplers of a request call.

    The first is the model that adapters and ControlNets change.
    """
    clips: list[str | None] = list(request.guidance.clips) if request.guidance else []
    clips += [inputs.scorer, inputs.aesthetic_scorer]
    if request.personalization is not None:
        clips.append(inputs.text_clip)
    named = dict.fromkeys(clip for clip in clips if clip is not None)
    refiner = () if request.refiner is None else (Ref("model", request.refiner.model),)
    return (
        Ref("model", request.model),
        *refiner,
        *(Ref("adapter", adapter.name) for adapter in request.adapters),
        *(Ref("control", name) for name in dict.fromkeys(control.model for control in request.controls)),
        *(
            Ref("image_prompt", name)
            for name in dict.fromkeys(each.adapter for each in request.image_prompts)
        ),
        *(Ref("clip", clip) for clip in named),
    )


def facts_of(models: ModelRegistry, refs: tuple[Ref, ...]) -> Facts:
    """The facts of models and CLIPs. Loads those that are not in memory.

    Raises:
        LodestarError: one cannot be loaded.
    """
    return Facts(
        {ref.id: models.diffusion(ref.id).facts for ref in refs if ref.kind == "model"},
        {ref.id: models.clip(ref.id).facts for ref in refs if ref.kind == "clip"},
    )
