"""Clip skip: what earlier layers of the text encoders say, against diffusers' own pipelines."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTextModel

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.prompts.parse import branches
from jobs.prompts.prompt import LongPrompt, PromptSyntax, Wording
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import WIDTH, ddim, parts, text_config, unet, written
from tests.worker.models.families.xl import LENGTH, PX, ask, xl_card, xl_registry
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.aesthetics.fitting import Fitting
from worker.calls import Decode, EncodeText
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Work
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.rows import TextStates
from worker.sampling.inputs import SamplerInputs

INPUTS = SamplerInputs("pocket-m")
LAYERS = 4  # of each text encoder
CASES = [("one", 1), ("one", 3), ("xl", 1), ("xl", 2)]


def _one_encoder() -> Any:
    encoder = CLIPTextModel(text_config(num_hidden_layers=LAYERS))
    return StableDiffusionPipeline(**parts(unet(), ddim()) | {"text_encoder": encoder})


def _two_encoders() -> Any:
    first = CLIPTextModel(text_config(max_position_embeddings=LENGTH, num_hidden_layers=LAYERS))
    return checkpoints.stable_diffusion_xl(first=first, length=LENGTH, layers=LAYERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("skip")
    refiner = written(
        lambda: checkpoints.stable_diffusion_xl_refiner(length=LENGTH, layers=LAYERS), root / "refiner"
    )
    return {
        "one": written(_one_encoder, root / "one"),
        "xl": written(_two_encoders, root / "xl"),
        "refiner": refiner,
    }


@pytest.fixture(scope="module")
def models(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    cards = (
        xl_card(folders["one"], "one", family="sd", text_clip=None),
        xl_card(folders["xl"], "xl", text_clip=None),
        xl_card(folders["xl"], "skipping", text_clip=None, clip_skip=1),
        xl_card(folders["refiner"], "refiner", family="sdxl-refiner", text_clip=None),
    )
    return xl_registry(Catalog(models=cards, clips=pocket_catalog.clips))


@pytest.fixture(scope="module")
def stocks(folders: dict[str, Path]) -> dict[str, Any]:
    one = StableDiffusionPipeline.from_pretrained(folders["one"], safety_checker=None)
    # Its pipeline looks for the last norm where the encoder had it before transformers 5.
    one.text_encoder.__dict__["text_model"] = one.text_encoder
    found = {"one": one, "xl": StableDiffusionXLPipeline.from_pretrained(folders["xl"])}
    for pipeline in found.values():
        config = dict(pipeline.scheduler.config)
        pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
        pipeline.set_progress_bar_config(disable=True)
    return found


def latents_of(models: ModelRegistry, **fields: Any) -> Tensor:
    runner = Runner(models)
    sampler = sampler_of(ask(models, sampler=SamplerName.DDIM, **fields), models, INPUTS)
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


def skipped_negative(pipeline: Any, text: str, clip_skip: int) -> dict[str, Tensor]:
    """A negative prompt read as A1111 does: the pipeline by itself would skip no layers of it."""
    context, _, *pooled = pipeline.encode_prompt(
        text,
        device="cpu",
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        clip_skip=clip_skip,
    )
    vector = {"negative_pooled_prompt_embeds": pooled[0]} if pooled else {}
    return {"negative_prompt_embeds": context, **vector}


@pytest.mark.parametrize(("model", "clip_skip"), CASES)
def test_it_draws_what_the_stock_pipeline_draws(
    model: str, clip_skip: int, stocks: dict[str, Any], models: ModelRegistry
) -> None:
    noise = torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(7))
    theirs = stocks[model](
        "a fox",
        **skipped_negative(stocks[model], "grey", clip_skip),
        height=PX,
        width=PX,
        num_inference_steps=6,
        guidance_scale=5,
        latents=noise,
        clip_skip=clip_skip,
        output_type="latent",
    ).images
    asked = {"model": model, "prompt": "a fox", "negative_prompt": "grey"}
    ours = latents_of(models, **asked, clip_skip=clip_skip)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - latents_of(models, **asked)).abs().max()) > 1e-3


def test_a_model_has_a_default_of_its_own(models: ModelRegistry) -> None:
    assert ask(models, model="skipping").clip_skip == 1
    assert ask(models, model="skipping", clip_skip=0).clip_skip == 0
    assert torch.equal(latents_of(models, model="skipping"), latents_of(models, clip_skip=1))


def test_jobs_with_different_ones_share_batches_and_are_what_they_are_alone(models: ModelRegistry) -> None:
    requests = [
        *(ask(models, model=model, clip_skip=skip) for model in ("one", "xl") for skip in (0, 1, 2)),
        ask(models, prompt="(a fox:1.3) " + "apple " * 40, prompt_syntax="a1111", clip_skip=1),
        ask(models, prompt="a fox-- on grass", prompt_syntax="compel", clip_skip=2),
        ask(models, clip_skip=1, refiner={"model": "refiner"}),
    ]
    running = Running(models)
    for number, request in enumerate(requests):
        running.engine.admit(Work(str(number), request, Inputs()))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(models), INPUTS)
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


@pytest.mark.parametrize("syntax", list(PromptSyntax))
@pytest.mark.parametrize("model", ["one", "xl"])
def test_texts_of_one_batch_are_read_each_at_its_layer(
    syntax: PromptSyntax, model: str, folders: dict[str, Path], models: ModelRegistry
) -> None:
    def worded(skip: int) -> Wording:
        text = "a (fox)1.2, grass- " + "apple " * 90
        (branch,) = branches(text, syntax, LongPrompt.CHUNK, 1, clip_skip=skip)
        return branch.at(0)

    fresh = xl_registry(models.catalog).diffusion(model)
    together = fresh.encode([worded(skip) for skip in range(3)])
    for skip, states in enumerate(together):
        (alone,) = models.diffusion(model).encode([worded(skip)])
        assert torch.allclose(states.context, alone.context, atol=1e-5)
        assert all(
            not torch.allclose(states.context, other.context, atol=1e-3)
            for other in together
            if other is not states
        )
        # The pooled state is that of the last layer whatever the others are.
        if states.pooled is not None and together[0].pooled is not None:
            assert torch.allclose(states.pooled, together[0].pooled, atol=1e-5)


@pytest.mark.parametrize(("model", "most"), [("one", 3), ("xl", 2)])
def test_one_that_leaves_no_layer_fails_its_own_job_alone(
    model: str, most: int, models: ModelRegistry
) -> None:
    wordings = [
        branches("a fox", PromptSyntax.PLAIN, LongPrompt.CUT, 1, clip_skip=skip)[0].at(0)
        for skip in (most, most + 1)
    ]
    good, bad = Runner(models).run([EncodeText(model, wording) for wording in wordings])
    assert isinstance(good, TextStates)
    assert isinstance(bad, InvalidRequestError)
    assert bad.message == (
        f"clip_skip is {most + 1}, and a text encoder of this model has layers for {most} at most"
    )


@pytest.mark.parametrize("model", ["one", "xl"])
def test_aesthetic_gradients_read_the_same_layer(model: str, models: ModelRegistry) -> None:
    denoiser: Any = models.diffusion(model)
    encoder, personalizer = denoiser._encoders[0], denoiser.personalizer
    tokens = personalizer._windows("a fox")
    fitting = Fitting(
        encoder.reader,
        torch.eye(WIDTH),
        tokens,
        torch.randn(WIDTH, generator=torch.Generator().manual_seed(0)),
        steps=1,
        lr=0.01,
        read=encoder.read,
        clip_skip=1,
    )
    (branch,) = branches("a fox", PromptSyntax.PLAIN, LongPrompt.CUT, 1, clip_skip=1)
    (states,) = denoiser.encode([branch.at(0)])
    assert torch.allclose(fitting.states(), states.context[..., :WIDTH], atol=1e-5)
    before = fitting.states()
    fitting.advance(60)
    assert not torch.allclose(fitting.states(), before, atol=1e-4)
