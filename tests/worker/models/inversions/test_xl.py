"""Textual inversions of SDXL against diffusers' own pipelines: vectors for each of its text encoders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ModelUnavailableError
from jobs.prompts.prompt import LongPrompt, Wording, plain
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import SECOND_WIDTH
from tests.worker.models.families.xl import FIRST_WIDTH, LENGTH, PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.models.inversions.conftest import drawn
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode, EncodeText
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.inversions.inspection import inspect_inversion
from worker.models.registry import ModelRegistry
from worker.rows import TextStates
from worker.sampling.inputs import SamplerInputs

WORDS = {"zwx": 1, "<cat-toy>": 3}  # with their vectors
Tables = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def tables() -> Tables:
    """By word: its vectors by their keys in a file."""
    widths = {"clip_l": FIRST_WIDTH, "clip_g": SECOND_WIDTH}
    return {
        word: {key: drawn(count, 20 + seed, width) for seed, (key, width) in enumerate(widths.items())}
        for word, count in WORDS.items()
    }


@pytest.fixture(scope="module")
def words(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("words")
    files = {word: root / f"{number}.safetensors" for number, word in enumerate(WORDS)}
    for word, file in files.items():
        save_file(tables[word], file)
    files["single"] = root / "single.safetensors"
    save_file({"emb_params": drawn(1, 9, FIRST_WIDTH)}, files["single"])
    files["narrow"] = root / "narrow.safetensors"
    save_file({"clip_l": drawn(1, 9, FIRST_WIDTH), "clip_g": drawn(1, 9, FIRST_WIDTH)}, files["narrow"])
    return files


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("xl")
    refiner = checkpoints.written(
        lambda: checkpoints.stable_diffusion_xl_refiner(length=LENGTH), root / "refiner"
    )
    single = checkpoints.written(checkpoints.stable_diffusion, root / "single")
    return {"xl": xl_folder(root / "xl"), "refiner": refiner, "single": single}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path], words: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    """SDXL and its refiner, which read all words, a Stable Diffusion, and one of SDXL that reads none."""
    cards = (
        xl_card(folders["xl"]),
        xl_card(folders["refiner"], "refiner", family="sdxl-refiner", text_clip=None),
        xl_card(folders["single"], "one-encoder", family="sd", text_clip=None),
        xl_card(folders["xl"], "unlearned"),
    )
    base = ("xl", "refiner", "one-encoder")
    inversions = tuple(
        TextualInversionCard(id=f"w{number}", path=file, word=word, base=base)
        for number, (word, file) in enumerate(words.items())
    )
    return xl_registry(Catalog(models=cards, clips=pocket_catalog.clips, textual_inversions=inversions))


def taught(pipeline: Any, tables: Tables, **encoders: str) -> Any:
    """A pipeline that has read the words; ``encoders`` names the suffix of the part that reads each key."""
    for word, its in tables.items():
        for key, end in encoders.items():
            parts = {
                "text_encoder": getattr(pipeline, f"text_encoder{end}"),
                "tokenizer": getattr(pipeline, f"tokenizer{end}"),
            }
            pipeline.load_textual_inversion({word: its[key]}, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def stock(folders: dict[str, Path], tables: Tables) -> Any:
    pipeline = StableDiffusionXLPipeline.from_pretrained(folders["xl"])
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    return taught(pipeline, tables, clip_l="", clip_g="_2")


def latents_of(models: ModelRegistry, **fields: Any) -> Tensor:
    runner = Runner(models)
    sampler = sampler_of(ask(models, sampler=SamplerName.DDIM, **fields), models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a photo of zwx on grass", "grey"),
        ("a <cat-toy>, a fox and another <cat-toy>", "grey"),
        ("a fox", "zwx, grey"),
    ],
)
def test_it_draws_what_the_stock_pipeline_draws(
    prompt: str, negative: str, stock: Any, models: ModelRegistry
) -> None:
    noise = torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(7))
    theirs = stock(
        prompt,
        negative_prompt=negative,
        height=PX,
        width=PX,
        num_inference_steps=6,
        guidance_scale=5,
        latents=noise,
        output_type="latent",
    ).images
    ours = latents_of(models, prompt=prompt, negative_prompt=negative)
    unlearned = latents_of(models, prompt=prompt, negative_prompt=negative, model="unlearned")
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - unlearned).abs().max()) > 1e-3


def test_the_refiner_reads_the_vectors_of_its_encoder(
    folders: dict[str, Path], tables: Tables, models: ModelRegistry
) -> None:
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(folders["refiner"])
    taught(pipeline, tables, clip_g="_2")
    context, _, pooled, _ = pipeline.encode_prompt("a <cat-toy> and zwx", do_classifier_free_guidance=False)
    (states,) = models.diffusion("refiner").encode([plain("a <cat-toy> and zwx")])
    assert states.pooled is not None
    assert torch.allclose(states.context, context, atol=1e-5)
    assert torch.allclose(states.pooled, pooled, atol=1e-5)


@pytest.mark.parametrize("before", range(LENGTH - 7, LENGTH))
def test_both_encoders_part_a_long_text_at_the_same_places(before: int, models: ModelRegistry) -> None:
    parts = plain("a " * before + "<cat-toy> dog").parts
    (states,) = models.diffusion("xl").encode([Wording(parts, long_prompt=LongPrompt.CHUNK)])
    assert states.context.shape == (1, LENGTH * (1 + (before > LENGTH - 6)), FIRST_WIDTH + SECOND_WIDTH)


@pytest.mark.parametrize(
    ("model", "word", "reason"),
    [
        ("xl", "single", "it has vectors for one text encoder, and a model of SDXL needs clip_l and clip_g"),
        ("refiner", "single", "it has vectors for one text encoder"),
        ("xl", "narrow", f"have {FIRST_WIDTH} numbers, and those of the model's second text encoder"),
        ("one-encoder", "zwx", "it has vectors for two text encoders, and the model has one"),
    ],
)
def test_one_that_does_not_fit_fails_its_own_job_alone(
    model: str, word: str, reason: str, models: ModelRegistry, words: dict[str, Path]
) -> None:
    good, bad = Runner(models).run([EncodeText(model, plain(text)) for text in ("a fox", f"a {word}")])
    assert isinstance(good, TextStates)
    assert isinstance(bad, ModelUnavailableError)
    assert reason in bad.message
    with pytest.raises(ModelUnavailableError, match=reason):
        inspect_inversion(words[word], models.catalog, (model,))


def test_one_of_sdxl_is_said_to_fit_sdxl_and_its_refiner(
    models: ModelRegistry, words: dict[str, Path]
) -> None:
    found = inspect_inversion(words["<cat-toy>"], models.catalog, ())
    assert (found.vectors, found.fit.models) == (3, ("xl", "refiner", "unlearned"))
    assert found.fit.refusals.keys() == {"one-encoder"}
