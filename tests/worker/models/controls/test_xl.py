"""ControlNets of SDXL against diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline, UNet2DConditionModel

from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.errors import ModelUnavailableError
from jobs.requests.samplers import ScheduleName
from tests.worker.models.controls.conftest import control, control_lora, described, merged
from tests.worker.models.controls.test_controls import LEVELS, MAP, OTHER, inputs_of, latents_of, picture
from tests.worker.models.families.xl import PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Work
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs

SETS: dict[str, list[dict[str, Any]]] = {
    "one": [{"model": "edges", "image": MAP}],
    "a Control-LoRA": [{"model": "lora", "image": MAP}],
    "two": [
        {"model": "edges", "image": MAP, "weight": 0.7},
        {"model": "depth", "image": OTHER, "weight": 1.3, "end": 0.5},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xl_folder(tmp_path_factory.mktemp("xl") / "xl")


@pytest.fixture(scope="module")
def networks(folder: Path) -> dict[str, ControlNetModel]:
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    made = {name: control(unet, seed) for seed, name in enumerate(("edges", "depth"))}
    for name, network in made.items():
        network.save_pretrained(folder.parent / name)
    # A Control-LoRA; for diffusers as the ControlNet that it comes to.
    lora = control_lora(unet, seed=5, factor=2)
    described(folder.parent / "lora", lora)
    made["lora"] = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    heads = {name: tensor for name, tensor in lora.items() if name.startswith("controlnet_")}
    made["lora"].load_state_dict(merged(unet, lora) | heads)
    return made


@pytest.fixture(scope="module")
def controlled(folder: Path, networks: dict[str, ControlNetModel], pocket_catalog: Catalog) -> ModelRegistry:
    controls = tuple(ControlCard(id=name, path=folder.parent / name) for name in networks)
    return xl_registry(Catalog(models=(xl_card(folder),), clips=pocket_catalog.clips, controls=controls))


@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(
    named: str, networks: dict[str, Any], folder: Path, controlled: ModelRegistry
) -> None:
    controls = SETS[named]
    fields: dict[str, Any] = {"negative_prompt": "grey", "sizes": {"crop": {"left": 7, "top": 3}}}
    request = ask(controlled, controls=controls, **fields)
    pipeline = StableDiffusionXLControlNetPipeline.from_pretrained(
        folder, controlnet=[networks[each["model"]] for each in controls]
    )
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((request.sampler, ScheduleName.DEFAULT), config)
    theirs = pipeline(
        request.prompt,
        image=[picture(each["image"]) for each in controls],
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        crops_coords_top_left=(3, 7),
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        controlnet_conditioning_scale=[float(each.get("weight", 1)) for each in controls],
        control_guidance_start=[0.0] * len(controls),
        control_guidance_end=[each.get("end", 1.0) for each in controls],
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours, plain = latents_of(request, controlled), latents_of(ask(controlled, **fields), controlled)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01


def test_jobs_with_and_without_controls_share_batches_and_are_what_they_are_alone(
    controlled: ModelRegistry,
) -> None:
    requests = [ask(controlled, controls=controls) for controls in (*SETS.values(), [])]
    requests.append(ask(controlled, controls=SETS["one"], guidance={"cutouts": 2, "clip": "pocket-m"}))
    running = Running(controlled)
    for number, request in enumerate(requests):
        hints = hints_for(request, LEVELS, None)
        running.engine.admit(Work(str(number), request, Inputs(hints=hints)))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(controlled), inputs_of(request))
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_a_control_of_sdxl_fits_no_stable_diffusion(controlled: ModelRegistry, models: ModelRegistry) -> None:
    with pytest.raises(ModelUnavailableError, match="was made for another model"):
        models.diffusion("pocket").require_control(controlled.control("edges"))
