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
from worker.models.loader import Loaded, Ref
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.sampling.inputs import SamplerInputs
from worker.sampling.resampling.weighing import MOST
from worker.sampling.sampler import sample
from worker.states.fit import weights_digest
from worker.states.state import JobState, PictureState

# Pictures of one job in progress at a time: enough to fill a batch, and few enough that a job of hundreds finishes its
# first ones soon. Particles of a group wait for each other, so all of them have to be.
AT_ONCE = MOST


Begun = tuple[
    Generator[Yield, Any, Any], PictureState | None
]  # a sampler, and the state that it goes on from


@dataclass(frozen=True)
class Plan:
    """The plan of one job.

    Attributes:
        refs: models and CLIPs that it needs from its start to its end.
        steps: in all, for its progress.
        samplers: one for each result that is left, made one by one, from the facts of the models and the state of the
            job; each with the state that it goes on from.
        results: number of the samplers.
    """

    refs: tuple[Ref, ...]
    steps: int
    samplers: Callable[[Facts, JobState | None], Iterator[Begun]]
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
            (Ref("clip", task.clip),),
            steps,
            lambda facts, _: iter([(run_task(task, inputs, facts, words), None)]),
            1,
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
        inputs.edits,
    )
    return Plan(
        refs_of(request, needed),
        request.steps_run * request.num_images,
        lambda facts, state: _samplers(request, facts, needed, state),
        request.num_images,
    )


def _samplers(
    request: ResolvedRequest, facts: Facts, inputs: SamplerInputs, state: JobState | None
) -> Iterator[Begun]:
    made = {picture.index for picture in state.pictures} if state else set()
    for index in range(request.num_images):
        if index not in made:
            left = None if state is None else state.of(index)
            yield sample(request, index, facts, inputs, left), left


def refs_of(request: ResolvedRequest, inputs: SamplerInputs) -> tuple[Ref, ...]:
    """The models, adapters of both kinds, ControlNets and CLIPs that the samplers of a request call.

    The first is the model that adapters and ControlNets change.
    """
    clips: list[str | None] = list(request.guidance.clips) if request.guidance else []
    clips += [inputs.scorer, inputs.aesthetic_scorer]
    if request.personalization is not None:
        clips.append(inputs.text_clip)
    if request.select is not None and request.select.resample is not None:
        clips.append(request.select.resample.clip)
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
            if name is not None
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


def models_digest(models: ModelRegistry, refs: tuple[Ref, ...]) -> str:
    """The digest of the weights of models and of what changes them, which must be in memory. For the engine's thread.

    Raises:
        LodestarError: one is not, and cannot be loaded.
    """
    found: dict[str, Callable[[str], Loaded]] = {
        "model": models.diffusion,
        "clip": models.clip,
        "adapter": models.adapter,
        "control": models.control,
        "image_prompt": models.image_prompt,
    }
    return weights_digest(network for ref in refs for network in found[ref.kind](ref.id).networks)
