"""SDXL with its refiner for the last steps, against diffusers' ensemble of two pipelines."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from torch import Tensor

from benchmarks.loading.single_file import write_single_file
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import POOLED, SECOND_WIDTH, written
from tests.worker.models.families.xl import LENGTH, PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.models.predicting import predicted_with
from tests.worker.models.variants import load
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode, Denoise, PullBack
from worker.engine.plans import refs_of
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Work
from worker.events import Yield
from worker.facts import RowSpec
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.sampling.inputs import SamplerInputs

INPUTS = SamplerInputs("pocket-m")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("xl")
    refiner = written(lambda: checkpoints.stable_diffusion_xl_refiner(length=LENGTH), root / "refiner")
    return {"xl": xl_folder(root / "xl"), "refiner": refiner}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    cards = (
        xl_card(folders["xl"]),
        xl_card(folders["refiner"], "refiner", family="sdxl-refiner", text_clip=None),
    )
    return xl_registry(Catalog(models=cards, clips=pocket_catalog.clips))


def seen_by(request: ResolvedRequest, models: ModelRegistry) -> list[Yield]:
    """All that a run yields up to its picture."""
    runner, sampler = Runner(models), sampler_of(request, models, INPUTS)
    seen = [next(sampler)]
    while not isinstance(seen[-1], Decode):
        seen.append(sampler.send(runner.answer(seen[-1])))
    return seen


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    last = seen_by(request, models)[-1]
    assert isinstance(last, Decode)
    return last.latents


@pytest.mark.parametrize(
    "sampler", [SamplerName.DDIM, SamplerName.EULER, SamplerName.DPMPP_2M, SamplerName.UNIPC]
)
@pytest.mark.parametrize(("steps", "switch_at"), [(10, 0.8), (12, 0.5), (7, 0.33), (30, 0.81)])
def test_it_draws_what_the_two_stock_pipelines_draw(
    steps: int, switch_at: float, sampler: SamplerName, folders: dict[str, Path], models: ModelRegistry
) -> None:
    request = ask(models, steps=steps, sampler=sampler, refiner={"switch_at": switch_at})
    base = StableDiffusionXLPipeline.from_pretrained(folders["xl"])
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(folders["refiner"])
    shared: dict[str, Any] = {
        "num_inference_steps": steps,
        "guidance_scale": request.cfg_scale,
        "output_type": "latent",
    }
    for each in (base, refiner):
        config = models.diffusion("xl").facts.scheduler_config
        each.scheduler = stock_scheduler((sampler, ScheduleName.DEFAULT), config)
        each.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed))
    half = base(request.prompt, height=PX, width=PX, latents=noise, denoising_end=switch_at, **shared).images
    whole = refiner(request.prompt, image=half, denoising_start=switch_at, **shared).images
    ours = latents_of(request, models)
    assert float((ours - whole).abs().max()) < 2e-4
    assert float((ours - latents_of(ask(models, steps=steps, sampler=sampler), models)).abs().max()) > 0.01


def test_each_model_takes_its_steps_with_its_own_conditions(models: ModelRegistry) -> None:
    sizes = {"original": {"width": 90, "height": 80}, "crop": {"top": 4}}
    request = ask(models, steps=10, refiner={"switch_at": 0.7}, sizes=sizes)
    calls = [call for call in seen_by(request, models) if isinstance(call, Denoise)]
    assert [call.model for call in calls] == ["xl"] * 7 + ["refiner"] * 3
    told = [
        [row.vector[0, POOLED:].tolist() for row in call.rows if row.vector is not None] for call in calls
    ]
    assert told[0] == [[80, 90, 4, 0, PX, PX]] * 2
    assert told[-1] == [[80, 90, 4, 0, 6.0], [80, 90, 4, 0, 2.5]]
    alone = [
        call
        for call in seen_by(ask(models, model="refiner", cfg_scale=1), models)
        if isinstance(call, Denoise)
    ]
    assert alone[0].rows[0].vector is not None
    assert alone[0].rows[0].vector[0, POOLED:].tolist() == [PX, PX, 0, 0, 6.0]


def test_both_models_are_held_and_the_first_is_the_one_that_adapters_change(models: ModelRegistry) -> None:
    refs = refs_of(ask(models, refiner={}), INPUTS)
    assert refs[:2] == (Ref("model", "xl"), Ref("model", "refiner"))


def test_noisy_guidance_goes_back_through_the_model_that_took_the_step(models: ModelRegistry) -> None:
    guidance = {"preset": "diffusers", "overview_cuts": 1, "inner_cuts": 0}
    request = ask(models, steps=4, refiner={"switch_at": 0.5}, guidance=guidance)
    seen = [call for call in seen_by(request, models) if isinstance(call, Denoise | PullBack)]
    pulled = [one.model for one, other in zip(seen[1:], seen, strict=False) if isinstance(one, PullBack)]
    through = [other.model for one, other in zip(seen[1:], seen, strict=False) if isinstance(one, PullBack)]
    assert pulled == through
    assert set(pulled) == {"xl", "refiner"}


def test_refined_jobs_share_batches_and_are_what_they_are_alone(models: ModelRegistry) -> None:
    requests = [
        ask(models),
        ask(models, refiner={}),
        ask(models, refiner={"switch_at": 0.4}, negative_prompt="grey", sampler="dpmpp_2m"),
        ask(models, refiner={"switch_at": 0.6}, guidance={"cutouts": 2, "clip": "pocket-m"}),
        ask(models, refiner={"switch_at": 0.6}, hires={"scale": 2, "strength": 0.5}),
        ask(models, model="refiner"),
    ]
    running = Running(models)
    for number, request in enumerate(requests):
        running.engine.admit(Work(str(number), request, Inputs()))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(models), INPUTS)
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"refiner": {"model": "xl"}}, "refiner.model", "it holds: refiner"),
        ({"refiner": {}, "model": "refiner"}, "refiner", "of the family sdxl-refiner, which has no refiner"),
        ({"refiner": {}, "model": "pocket"}, "refiner", "of the family sd, which has no refiner"),
    ],
)
def test_what_no_refiner_can_do_is_refused(
    fields: dict[str, Any], field: str, reason: str, models: ModelRegistry, pocket_catalog: Catalog
) -> None:
    catalog = models.catalog.model_copy(update={"models": (*models.catalog.models, *pocket_catalog.models)})
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(xl_registry(catalog), **fields)
    assert refused.value.field == field


def test_without_a_refiner_in_the_catalog_it_is_refused(models: ModelRegistry) -> None:
    catalog = models.catalog.model_copy(update={"models": models.catalog.models[:1]})
    with pytest.raises(InvalidRequestError, match="it holds: none"):
        ask(xl_registry(catalog), refiner={})


def test_its_facts_say_what_a_row_must_carry(models: ModelRegistry) -> None:
    assert models.diffusion("refiner").facts.row == RowSpec(
        context_length=LENGTH,
        context_width=SECOND_WIDTH,
        vector_width=POOLED + 5,
        size_ids=5,
        tells_score=True,
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_one_file_is_the_same_model_as_the_folder(tmp_path: Path) -> None:
    folder = written(lambda: checkpoints.stable_diffusion_xl_refiner(layers=10), tmp_path / "refiner")
    file = tmp_path / "f.safetensors"
    write_single_file(folder, file, layers=1, with_attention=(False, True))
    whole = load(folder, family="sdxl-refiner")
    single = load(file, config=folder, family="sdxl-refiner")
    numbers = torch.tensor([[64.0, 48, 3, 5, 6]])
    assert torch.allclose(
        predicted_with(whole, "a fox", numbers), predicted_with(single, "a fox", numbers), atol=1e-5
    )
