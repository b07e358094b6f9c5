"""Stable unCLIP against diffusers' own pipeline of the same folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableUnCLIPImg2ImgPipeline
from PIL import Image
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import EMBEDDING, VISION_PX, written
from tests.worker.models.test_unfit import refusal
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.plans import refs_of
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Work
from worker.models.device import Device
from worker.models.families.picture_labels import mixed
from worker.models.families.stable_unclip import StableUnClip
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.squares import squares_for
from worker.sampling.conditions.image_prompts import LABEL_STREAM
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

PX = 32
FOX, OWL = (f"sha256:{digit * 64}" for digit in "01")
LEVELS = {
    name: torch.randint(
        0, 256, (3, VISION_PX, VISION_PX), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    for seed, name in enumerate((FOX, OWL))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(checkpoints.stable_unclip, tmp_path_factory.mktemp("models") / "unclip")


@pytest.fixture(scope="module")
def models(folder: Path, pocket_catalog: Catalog) -> ModelRegistry:
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX}
    card = ModelCard.model_validate(
        {"id": "unclip", "path": folder, "clip": "pocket-m", "family": "unclip", **size}
    )
    catalog = Catalog(models=(card, *pocket_catalog.models), clips=pocket_catalog.clips)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def ask(models: ModelRegistry, *prompts: dict[str, Any], **fields: Any) -> ResolvedRequest:
    wanted = {
        "model": "unclip",
        "prompt": "a fox",
        "steps": 6,
        "seed": 7,
        "negative_prompt": "grey",
        **fields,
    }
    return resolve(GenerateRequest.model_validate({**wanted, "image_prompts": prompts}), models.catalog)


def inputs_of(request: ResolvedRequest) -> SamplerInputs:
    return SamplerInputs("pocket-m", image_prompts=squares_for(request, LEVELS))


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, inputs_of(request))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


def picture(name: str) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(LEVELS[name].permute(1, 2, 0).numpy()))


def stock(folder: Path) -> Any:
    pipeline = StableUnCLIPImg2ImgPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    return pipeline


def theirs(pipeline: Any, request: ResolvedRequest, **told: Any) -> Tensor:
    latents: Tensor = pipeline(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        generator=torch.Generator().manual_seed((request.seed ^ LABEL_STREAM) % 2**63),
        output_type="latent",
        **told,
    ).images
    return latents


@pytest.mark.parametrize("scale", [1, 10])
@pytest.mark.parametrize("level", [0, 300, 999])
def test_it_draws_what_the_stock_pipeline_draws(
    level: int, scale: float, folder: Path, models: ModelRegistry
) -> None:
    request = ask(models, {"image": FOX, "noise_level": level}, cfg_scale=scale)
    drawn = theirs(stock(folder), request, image=picture(FOX), noise_level=level)
    ours = latents_of(request, models)
    assert float((ours - drawn).abs().max()) < 2e-4
    other = latents_of(ask(models, {"image": OWL, "noise_level": level}, cfg_scale=scale), models)
    # At the last level hardly anything is left of the picture.
    assert float((ours - other).abs().max()) > (0.01 if level < 999 else 0)


def test_a_mixture_is_drawn_as_its_embedding(folder: Path, models: ModelRegistry) -> None:
    prompts = {"image": FOX, "weight": 0.9}, {"image": OWL, "weight": 0.3}
    request = ask(models, *prompts)
    pipeline = stock(folder)
    pixels = [
        pipeline.feature_extractor(picture(name), return_tensors="pt").pixel_values for name in (FOX, OWL)
    ]
    with torch.no_grad():
        fox, owl = pipeline.image_encoder(torch.cat(pixels)).image_embeds.split(1)
    direction = 0.75 * fox / fox.norm() + 0.25 * owl / owl.norm()
    z = direction / direction.norm() * (0.75 * fox.norm() + 0.25 * owl.norm())
    assert torch.allclose(mixed(torch.cat([fox, owl]), torch.tensor([0.9, 0.3])), z, atol=1e-5)
    ours = latents_of(request, models)
    assert float((ours - theirs(pipeline, request, image_embeds=z)).abs().max()) < 2e-4
    assert float((ours - latents_of(ask(models, prompts[0]), models)).abs().max()) > 0.01


def test_weights_below_one_are_a_share_of_the_label(models: ModelRegistry) -> None:
    model = models.diffusion("unclip")
    assert isinstance(model, StableUnClip)

    def label(*weights: float) -> Tensor:
        asked = ask(models, *({"image": FOX, "weight": weight} for weight in weights))
        runner, sampler = Runner(models), sampler_of(asked, models, inputs_of(asked))
        call = next(sampler)
        while not hasattr(call, "rows"):
            call = sampler.send(runner.answer(call))
        vector = model.rows([call.rows]).vector
        assert vector is not None
        assert not vector[1].any()  # of the negative prompt
        return vector[0]

    whole = label(1)
    assert torch.allclose(label(0.25), whole / 4)
    assert torch.allclose(label(0.5, 0.5), whole, atol=1e-5)
    assert torch.allclose(label(2), whole)


def test_without_a_picture_and_outside_of_its_window_it_is_told_nothing(
    folder: Path, models: ModelRegistry
) -> None:
    request = ask(models)
    pipeline = stock(folder)
    # Diffusers demands a picture; a label of zeros is what it tells the negative prompt's row.
    pipeline.noise_image_embeddings = lambda image_embeds, **_: torch.zeros(1, 2 * EMBEDDING)
    nothing = theirs(pipeline, request, image_embeds=torch.zeros(1, EMBEDDING))
    assert float((latents_of(request, models) - nothing).abs().max()) < 2e-4
    assert torch.equal(
        latents_of(ask(models, {"image": FOX, "weight": 0}), models), latents_of(request, models)
    )
    late = latents_of(ask(models, {"image": FOX, "start": 0.5}), models)
    assert not torch.allclose(late, nothing, atol=1e-3)
    assert not torch.allclose(late, latents_of(ask(models, {"image": FOX}), models), atol=1e-3)


def test_jobs_with_other_pictures_share_batches_and_are_what_they_are_alone(models: ModelRegistry) -> None:
    requests = [
        ask(models),
        ask(models, {"image": FOX}),
        ask(models, {"image": FOX, "noise_level": 500}, seed=8, num_images=2),
        ask(models, {"image": FOX, "weight": 0.5}, {"image": OWL, "end": 0.5}, sampler="euler"),
        ask(models, {"image": OWL}, cfg_scale=1),
        ask(models, {"image": OWL}, guidance={"preset": "diffusers", "overview_cuts": 1, "inner_cuts": 0}),
    ]
    running = Running(models)
    for number, request in enumerate(requests):
        inputs = Inputs(image_prompts=squares_for(request, LEVELS))
        running.engine.admit(Work(str(number), request, inputs))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(models), inputs_of(request))
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_no_adapter_is_held_for_it(models: ModelRegistry) -> None:
    request = ask(models, {"image": FOX})
    assert request.image_prompts[0].adapter is None
    assert [ref.kind for ref in refs_of(request, SamplerInputs("pocket-m"))] == ["model", "clip"]


@pytest.mark.parametrize(
    ("prompts", "model", "field", "reason"),
    [
        ([{"image": FOX}], "pocket", "image_prompts.0.adapter", "no adapter that tells model 'pocket'"),
        (
            [{"image": FOX, "noise_level": 1}, {"image": OWL, "noise_level": 2}],
            "unclip",
            "image_prompts.1.noise_level",
            "with one noise_level: 1, not 2",
        ),
        (
            [{"image": FOX, "adapter": "ip"}],
            "unclip",
            "image_prompts.0.adapter",
            "'ip' is not in the catalog",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(
    prompts: list[dict[str, Any]], model: str, field: str, reason: str, models: ModelRegistry
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(models, *prompts, model=model)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"embedding": 16}, "the UNet reads pictures as 48 numbers"),
        ({"normalized": 16}, "the image normalizer is for embeddings of 16 numbers"),
        ({"class_embed_type": None}, "its class_embed_type is None, which is not served"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = written(lambda: checkpoints.stable_unclip(**fields), tmp_path / "m")
    assert said in refusal(folder, family="unclip")


def test_a_label_under_a_class_without_one_is_refused(tmp_path: Path) -> None:
    told = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 48}
    folder = written(
        lambda: StableDiffusionPipeline(**checkpoints.parts(checkpoints.unet(**told), checkpoints.ddim())),
        tmp_path / "m",
    )
    assert "its class_embed_type is 'projection', which is not served" in refusal(folder)
