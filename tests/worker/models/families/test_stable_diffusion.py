"""Stable Diffusion's family against diffusers' own pipeline of the same folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from benchmarks.loading.single_file import write_single_file
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import JobFailedError, ModelUnavailableError
from jobs.requests.presets import PRESETS, PresetName
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import WIDTH, written
from tests.worker.models.predicting import predicted
from tests.worker.models.variants import load
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.facts import RowSpec
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

PX = 32
ZERO_SNR = {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
KINDS: dict[str, dict[str, Any]] = {
    "epsilon": {"prediction_type": "epsilon"},
    "v": {"prediction_type": "v_prediction"},
    "v, zero terminal SNR": ZERO_SNR,
}
Ask = Callable[..., ResolvedRequest]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny Stable Diffusion of each kind."""
    root = tmp_path_factory.mktemp("models")
    return {
        kind: written(lambda config=config: checkpoints.stable_diffusion(**config), root / kind)  # type: ignore[misc]
        for kind, config in KINDS.items()
    }


@pytest.fixture(scope="module")
def tiny(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    """These models, beside the shipped CLIPs."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX, "cfg_scale": 5}
    cards = [
        ModelCard.model_validate({"id": f"tiny-{number}", "path": folder, "clip": "pocket-m", **size})
        for number, folder in enumerate(folders.values())
    ]
    catalog = Catalog(models=tuple(cards), clips=pocket_catalog.clips)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def ask(models: ModelRegistry, kind: str, **fields: Any) -> ResolvedRequest:
    number = list(KINDS).index(kind)
    wanted = {"model": f"tiny-{number}", "prompt": "a fox", "steps": 8, "seed": 7, **fields}
    return resolve(GenerateRequest.model_validate(wanted), models.catalog)


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


@pytest.mark.parametrize(
    "sampler", [SamplerName.DDIM, SamplerName.EULER, SamplerName.DPMPP_2M, SamplerName.UNIPC]
)
@pytest.mark.parametrize("kind", KINDS)
def test_it_draws_what_the_stock_pipeline_draws(
    kind: str, sampler: SamplerName, folders: dict[str, Path], tiny: ModelRegistry
) -> None:
    request = ask(tiny, kind, sampler=sampler, negative_prompt="grey")
    pipeline = StableDiffusionPipeline.from_pretrained(folders[kind], safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = stock_scheduler((sampler, ScheduleName.DEFAULT), dict(pipeline.scheduler.config))
    theirs = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours = latents_of(request, tiny)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float(ours.std()) > 0.1


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.islower()])
def test_in_noise_alone_the_estimate_is_guided_and_the_noise_is_not(
    preset: PresetName, tiny: ModelRegistry
) -> None:
    guidance = {"preset": preset, "cutouts": 2, "trace": True, "clip": "pocket-m"}
    request = ask(tiny, "v, zero terminal SNR", steps=5, guidance=guidance)
    picture = generate(request, Runner(tiny), SamplerInputs("pocket-m"))
    assert picture.trace is not None
    assert not any(step.skipped for step in picture.trace)
    guided = [step.step for step in picture.trace]
    assert guided
    assert request.guidance is not None
    assert (0 in guided) is (bool(request.guidance.mu) and 0 in request.guidance.window(5))


def test_a_schedule_that_it_has_no_level_for_fails_the_job_and_names_one_that_it_has(
    tiny: ModelRegistry,
) -> None:
    request = ask(tiny, "v, zero terminal SNR", sampler=SamplerName.EULER, schedule=ScheduleName.KARRAS)
    with pytest.raises(JobFailedError, match="use schedule default"):
        latents_of(request, tiny)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_file_with_the_text_encoder_of_stable_diffusion_2_is_the_same_model_as_its_folder(
    tmp_path: Path,
) -> None:
    folder = written(checkpoints.stable_diffusion_2, tmp_path / "m")
    write_single_file(
        folder, tmp_path / "f.safetensors", layers=1, with_attention=(False, True), open_clip=True
    )
    whole, file = load(folder), load(tmp_path / "f.safetensors", config=folder)
    texts = ["a red apple", "a fox"]
    assert torch.allclose(whole.encode_texts(texts), file.encode_texts(texts), atol=1e-6)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    context = whole.encode_texts(["a fox"])
    one, other = (predicted(model, latents, torch.tensor([500]), context) for model in (whole, file))
    assert torch.allclose(one, other, atol=1e-5)


def test_its_facts_say_what_a_row_must_carry(folders: dict[str, Path]) -> None:
    facts = load(folders["epsilon"]).facts
    assert (facts.latent_channels, facts.latent_factor) == (4, 2)
    assert facts.row == RowSpec(context_length=77, context_width=WIDTH)


def test_a_model_that_no_clip_belongs_to_says_so(folders: dict[str, Path]) -> None:
    model = load(folders["epsilon"])
    assert model.personalizer is not None
    model._personalizer = None
    with pytest.raises(ModelUnavailableError, match="no CLIP text encoder"):
        _ = model.personalizer
