"""SDXL's family against diffusers' own pipelines of the same folder."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img as img2img
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.loading.single_file import write_single_file
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.prompts.parse import branches
from jobs.prompts.prompt import LongPrompt, PromptSyntax
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.brought_pictures import scene
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import POOLED, SECOND_WIDTH, written
from tests.worker.models.families.xl import FIRST_WIDTH, LENGTH, PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.models.predicting import predicted_with
from tests.worker.models.test_unfit import refusal
from tests.worker.models.variants import edit, load
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.starting import KEPT, MASK, canvas, mask_of
from tests.worker.sampling.stock import stock_scheduler
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.calls import Decode, Denoise
from worker.canvas import Canvas
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Work
from worker.events import Yield
from worker.facts import RowSpec
from worker.models.registry import ModelRegistry
from worker.models.rows import blank
from worker.pictures.inputs import Inputs
from worker.pictures.levels import levels
from worker.pictures.masking import canvas_for
from worker.sampling.inputs import SamplerInputs

SAMPLERS = [SamplerName.DDIM, SamplerName.EULER, SamplerName.DPMPP_2M, SamplerName.UNIPC]
STATED = {
    "original": {"width": 300, "height": 200},
    "crop": {"left": 5, "top": 9},
    "target": {"width": 640, "height": 480},
}
TEXTS = ("a fox", "a red apple on a light blue background")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xl_folder(tmp_path_factory.mktemp("xl") / "xl")


@pytest.fixture(scope="module")
def models(folder: Path, pocket_catalog: Catalog) -> ModelRegistry:
    """The model, the same without zeros for empty prompts, and the shipped CLIPs."""
    other = folder.parent / "encoded"
    if not other.exists():
        other.mkdir()
        for part in folder.iterdir():
            if part.is_dir():
                (other / part.name).symlink_to(part)
        (other / "model_index.json").write_text((folder / "model_index.json").read_text())
        edit(other / "model_index.json", force_zeros_for_empty_prompt=False)
    cards = xl_card(folder), xl_card(other, "encoded")
    return xl_registry(Catalog(models=cards, clips=pocket_catalog.clips))


@pytest.fixture(scope="module")
def stock(folder: Path) -> Any:
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def latents_of(
    request: ResolvedRequest, models: ModelRegistry, start: Canvas | None = None
) -> tuple[Tensor, list[Yield]]:
    """The latents that a run ends with, and all that it yielded."""
    runner, seen = Runner(models), []
    sampler = sampler_of(request, models, inputs_of(request, start))
    call = next(sampler)
    while True:
        seen.append(call)
        try:
            call = sampler.send(runner.answer(call))
        except StopIteration:
            return [each.latents for each in seen if isinstance(each, Decode)][-1], seen


def inputs_of(request: ResolvedRequest, start: Canvas | None = None) -> SamplerInputs:
    return SamplerInputs("pocket-m", canvas=start or (canvas(PX) if request.init else None))


def theirs(pipeline: Any, request: ResolvedRequest, models: ModelRegistry, **fields: Any) -> Tensor:
    """The latents of diffusers' pipeline."""
    config = models.diffusion(request.model).facts.scheduler_config
    pipeline.scheduler = stock_scheduler((request.sampler, ScheduleName.DEFAULT), config)
    made: Tensor = pipeline(
        request.prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        output_type="latent",
        **{"negative_prompt": request.negative_prompt, **fields},
    ).images
    return made


def drawn(request: ResolvedRequest) -> dict[str, Any]:
    """What starts a run from the seed's noise."""
    noise = torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed))
    return {"latents": noise, "width": PX, "height": PX}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_it_draws_what_the_stock_pipeline_draws(
    sampler: SamplerName, stock: Any, models: ModelRegistry
) -> None:
    request = ask(models, sampler=sampler, negative_prompt="grey")
    ours, _ = latents_of(request, models)
    assert float((ours - theirs(stock, request, models, **drawn(request))).abs().max()) < 2e-4
    assert float(ours.std()) > 0.1


@pytest.mark.parametrize(("name", "negative"), [("xl", None), ("encoded", "")])
def test_an_empty_negative_prompt_is_zeros_or_encoded_as_the_checkpoint_says(
    name: str, negative: str | None, stock: Any, models: ModelRegistry
) -> None:
    request = ask(models, model=name)
    ours, _ = latents_of(request, models)
    stocks = [
        theirs(stock, request, models, negative_prompt=each, **drawn(request)) for each in (negative, "x")
    ]
    assert float((ours - stocks[0]).abs().max()) < 2e-4
    assert float((ours - stocks[1]).abs().max()) > 0.01


@pytest.mark.parametrize("rescale", [0.3, 1.0])
def test_rescaled_guidance_is_that_of_the_stock_pipeline(
    rescale: float, stock: Any, models: ModelRegistry
) -> None:
    request = ask(models, guidance_rescale=rescale, cfg_scale=9, negative_prompt="grey")
    ours, _ = latents_of(request, models)
    stocks = [
        theirs(stock, request, models, guidance_rescale=share, **drawn(request)) for share in (rescale, 0.0)
    ]
    assert float((ours - stocks[0]).abs().max()) < 2e-4
    assert float((ours - stocks[1]).abs().max()) > 0.01


def test_the_stated_sizes_reach_the_network(stock: Any, models: ModelRegistry) -> None:
    request = ask(models, sizes=STATED, negative_prompt="grey")
    stated = {"original_size": (200, 300), "crops_coords_top_left": (9, 5), "target_size": (480, 640)}
    ours, _ = latents_of(request, models)
    assert float((ours - theirs(stock, request, models, **stated, **drawn(request))).abs().max()) < 2e-4
    for part in STATED:
        some, _ = latents_of(ask(models, sizes={part: STATED[part]}, negative_prompt="grey"), models)
        assert float((some - ours).abs().max()) > 1e-3, part


def test_sizes_of_a_model_that_is_told_none_are_refused(
    models: ModelRegistry, pocket_catalog: Catalog
) -> None:
    catalog = pocket_catalog.model_copy(update={"models": (*pocket_catalog.models, *models.catalog.models)})
    both = xl_registry(catalog)
    with pytest.raises(InvalidRequestError, match="of the family sd, which is told no sizes") as refused:
        ask(both, model="pocket", sizes=STATED)
    assert refused.value.field == "sizes"
    assert ask(both, sizes=STATED).sizes is not None


@pytest.mark.parametrize("strength", [0.3, 0.6])
@pytest.mark.parametrize("sampler", [SamplerName.EULER, SamplerName.DPMPP_2M])
def test_a_run_from_a_picture_ends_where_that_of_diffusers_does(
    sampler: SamplerName,
    strength: float,
    stock: Any,
    models: ModelRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Diffusers would take a sample of the posterior.
    monkeypatch.setattr(img2img, "retrieve_latents", lambda encoded, generator: encoded.latent_dist.mode())
    request = ask(models, sampler=sampler, init={"image": KEPT, "strength": strength}, steps=10)
    pipeline = StableDiffusionXLImg2ImgPipeline(**stock.components)
    pipeline.set_progress_bar_config(disable=True)
    picture = Image.fromarray(canvas(PX).pixels.permute(1, 2, 0).numpy())
    stocks = theirs(
        pipeline,
        request,
        models,
        negative_prompt=None,
        image=picture,
        strength=strength,
        generator=torch.Generator().manual_seed(request.seed),
    )
    assert float((latents_of(request, models)[0] - stocks).abs().max()) < 2e-4


def test_a_plain_model_inpaints_by_blending_as_that_of_diffusers_does(
    stock: Any, models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, picture = mask_of(8, 12, 24, 28, PX), scene(PX, PX)
    request = ask(
        models, sampler="ddim", steps=10, init={"image": KEPT, "strength": 0.6}, mask={"image": MASK}
    )
    pipeline = StableDiffusionXLInpaintPipeline(**stock.components)
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline.vae.encode
    monkeypatch.setattr(pipeline.vae, "encode", lambda pixels: _Mode(own(pixels).latent_dist.mode()))
    stocks = theirs(
        pipeline,
        request,
        models,
        negative_prompt=None,
        image=picture,
        mask_image=Image.fromarray(mask.permute(1, 2, 0).numpy()),
        strength=0.6,
        width=PX,
        height=PX,
        generator=torch.Generator().manual_seed(request.seed),
    )
    start = canvas_for(request, {KEPT: levels(picture), MASK: mask})
    assert float((latents_of(request, models, start)[0] - stocks).abs().max()) < 2e-4


@pytest.mark.parametrize("strength", [0.3, 0.6])
def test_a_model_that_sees_the_hole_paints_what_that_of_diffusers_does(
    strength: float, pocket_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Diffusers' pipeline does not blend for nine channels; here the kept part is noised anew at each step."""
    folder = written(checkpoints.stable_diffusion_xl_inpainting, tmp_path / "xl")
    models = xl_registry(Catalog(models=(xl_card(folder),), clips=pocket_catalog.clips))
    assert models.diffusion("xl").facts.sees_hole
    mask, picture = mask_of(8, 12, 24, 28, PX), scene(PX, PX)
    request = ask(
        models, sampler="ddim", steps=10, init={"image": KEPT, "strength": strength}, mask={"image": MASK}
    )
    pipeline = StableDiffusionXLInpaintPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    own, noise = pipeline.vae.encode, drawn(request)["latents"]
    monkeypatch.setattr(pipeline.vae, "encode", lambda pixels: _Mode(own(pixels).latent_dist.mode()))
    with torch.no_grad():
        encoded = own(pipeline.image_processor.preprocess(picture)).latent_dist.mode()
    x0, hole = encoded * pipeline.vae.config.scaling_factor, F.max_pool2d((mask[:1] > 0).float(), 2)[None] > 0

    def blend(pipe: Any, number: int, _time: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        times, kept = pipe.scheduler.timesteps[-pipe._num_timesteps :], x0
        if number + 1 < len(times):
            kept = pipe.scheduler.add_noise(x0, noise, times[number + 1 : number + 2])
        return {"latents": torch.where(hole, tensors["latents"], kept)}

    stocks = theirs(
        pipeline,
        request,
        models,
        negative_prompt=None,
        image=picture,
        mask_image=Image.fromarray(mask.permute(1, 2, 0).numpy()),
        strength=strength,
        width=PX,
        height=PX,
        generator=torch.Generator().manual_seed(request.seed),
        callback_on_step_end=blend,
    )
    start = canvas_for(request, {KEPT: levels(picture), MASK: mask})
    assert float((latents_of(request, models, start)[0] - stocks).abs().max()) < 2e-4


class _Mode:
    """An encoding whose sample is its mode."""

    def __init__(self, mode: Tensor) -> None:
        self.latents = mode


def test_both_encoders_are_read_before_their_last_layer_and_the_second_is_pooled(
    stock: Any, models: ModelRegistry
) -> None:
    model = models.diffusion("xl")
    for text in TEXTS:
        (ours,) = model.encode([branches(text, PromptSyntax.PLAIN, LongPrompt.CUT, 1)[0].at(0)])
        context, _, pooled, _ = stock.encode_prompt(text, do_classifier_free_guidance=False)
        assert ours.pooled is not None
        assert torch.allclose(ours.context, context, atol=1e-5)
        assert torch.allclose(ours.pooled, pooled, atol=1e-5)


def test_weights_and_windows_are_those_of_both_encoders(models: ModelRegistry) -> None:
    model = models.diffusion("xl")
    words = "a red apple, " * 12

    def states(text: str, syntax: PromptSyntax) -> Any:
        return model.encode([branches(text, syntax, LongPrompt.CHUNK, 1)[0].at(0)])[0]

    long, short = states(words, PromptSyntax.A1111), states("a red apple", PromptSyntax.PLAIN)
    assert long.context.shape == (1, 2 * LENGTH, FIRST_WIDTH + SECOND_WIDTH)
    cut: Any = model.encode([branches(words, PromptSyntax.PLAIN, LongPrompt.CUT, 1)[0].at(0)])[0]
    assert torch.allclose(long.pooled, cut.pooled, atol=1e-5), "of the first window"
    for syntax, text in (
        (PromptSyntax.A1111, "a (red:1.5) apple"),
        (PromptSyntax.COMPEL, "a (red)1.5 apple"),
    ):
        weighted = states(text, syntax)
        parts = zip(
            *(each.context.split([FIRST_WIDTH, SECOND_WIDTH], -1) for each in (weighted, short)), strict=True
        )
        assert all(not torch.allclose(one, other, atol=1e-3) for one, other in parts)
        assert torch.allclose(weighted.pooled, short.pooled, atol=1e-5), "without weights"
    blend = states('("a fox", "a red apple").blend(1, 3)', PromptSyntax.COMPEL)
    fox = states("a fox", PromptSyntax.PLAIN)
    assert torch.allclose(blend.pooled, 0.25 * fox.pooled + 0.75 * short.pooled, atol=1e-5)


def test_a_long_prompt_fills_the_empty_negative_with_nothing_that_counts(
    stock: Any, models: ModelRegistry
) -> None:
    request = ask(models, prompt="a red apple, " * 12, long_prompt="chunk")
    ours, _ = latents_of(request, models)
    (states,) = models.diffusion("xl").encode([request.branches[0].at(0)])
    zeros = torch.zeros(1, LENGTH, states.context.shape[2])
    assert states.context.shape[1] == 2 * LENGTH
    vectors = {"pooled_prompt_embeds": states.pooled, "negative_pooled_prompt_embeds": torch.zeros(1, POOLED)}
    config = models.diffusion("xl").facts.scheduler_config
    stock.scheduler = stock_scheduler((request.sampler, ScheduleName.DEFAULT), config)
    # A row of zeros is the same whatever its length: this is the network's answer for half of it.
    x, time = drawn(request)["latents"], torch.tensor(500)
    ids = torch.tensor([[PX, PX, 0, 0, PX, PX]])
    told = {"text_embeds": vectors["negative_pooled_prompt_embeds"], "time_ids": ids}
    short, long = (
        stock.unet(x, time, zeros.repeat(1, times, 1), added_cond_kwargs=told)[0] for times in (1, 2)
    )
    assert torch.allclose(short, long, atol=1e-5)
    stocks = stock(
        prompt_embeds=states.context,
        negative_prompt_embeds=torch.zeros_like(states.context),
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        output_type="latent",
        **vectors,
        **drawn(request),
    ).images
    assert float((ours - stocks).abs().max()) < 2e-4


def test_personalization_tunes_the_first_encoder_and_leaves_the_second(
    models: ModelRegistry, stock: Any
) -> None:
    clip, text = models.clip("pocket-s"), "a red apple on a light blue background"
    direction = F.normalize(clip.embed_text("a green tree")[0], dim=0)
    embedding = AestheticEmbedding(direction, "pocket-s", {})
    rows = []
    for steps in (0, 3):
        asked = ask(models, prompt=text, negative_prompt="grey").model_copy(
            update={"personalization": personalization(embedding, steps)}
        )
        sampler = sampler_of(
            asked,
            models,
            SamplerInputs("pocket-m", text_clip="pocket-s", embeddings={embedding.digest: embedding}),
        )
        call, runner = next(sampler), Runner(models)
        while not isinstance(call, Denoise):
            call = sampler.send(runner.answer(call))
        rows.append(call.rows)
    (plain, negative), (tuned, same) = rows
    first, second = tuned.context.split([FIRST_WIDTH, SECOND_WIDTH], dim=2)
    assert torch.equal(second, plain.context[..., FIRST_WIDTH:])
    assert torch.equal(negative.context, same.context)
    assert tuned.vector is not None
    assert plain.vector is not None
    assert torch.equal(tuned.vector, plain.vector)
    assert torch.allclose(first, tuned_states(stock, clip, text, direction), atol=1e-4)
    assert float((first - plain.context[..., :FIRST_WIDTH]).abs().mean()) > 1e-3


def personalization(embedding: AestheticEmbedding, steps: int) -> Any:
    return ResolvedPersonalization(
        embedding="green",
        digest=embedding.digest,
        steps=steps,
        lr=1e-3,
        weight=1.0,
        blend="lerp",
        text=None,
        text_angle=0.0,
        text_negative=False,
    )


def tuned_states(stock: Any, clip: Any, text: str, direction: Tensor) -> Tensor:
    """The states before the last layer of an encoder after three steps of Adam."""
    encoder = copy.deepcopy(stock.text_encoder).requires_grad_(True)
    tokens = stock.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
    adam = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    with torch.enable_grad():
        for _ in range(3):
            adam.zero_grad()
            embedding = F.normalize(
                encoder(tokens).pooler_output @ clip.text_tower.projection.float(), dim=-1
            )
            (-(embedding @ direction).mean()).backward()
            adam.step()
    with torch.no_grad():
        states: Tensor = encoder(tokens, output_hidden_states=True).hidden_states[-2]
    return states


def test_jobs_of_all_kinds_share_batches_and_are_what_they_are_alone(models: ModelRegistry) -> None:
    requests = [
        ask(models, negative_prompt="grey"),
        ask(models, sizes=STATED),
        ask(models, prompt="a (red:1.3) apple", prompt_syntax="a1111", cfg_scale=1),
        ask(models, init={"image": KEPT, "strength": 0.5}, guidance_rescale=0.7),
        ask(models, sampler="dpmpp_2m", guidance={"cutouts": 2, "clip": "pocket-m"}),
        ask(models, guidance={"preset": "universal", "cutouts": 2, "recurrences": 1}),
    ]
    running = Running(models)
    for number, request in enumerate(requests):
        given = Inputs(canvas=canvas(PX)) if request.init else Inputs()
        running.engine.admit(Work(str(number), request, given))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(models), inputs_of(request))
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_a_second_pass_is_told_its_own_size(models: ModelRegistry) -> None:
    request = ask(models, hires={"scale": 2, "strength": 0.5}, sizes={"crop": {"left": 3}})
    latents, seen = latents_of(request, models)
    told = [call.rows[0].vector[0, -6:].tolist() for call in seen if isinstance(call, Denoise)]  # type: ignore[index]
    assert told[0] == [PX, PX, 0, 3, PX, PX]
    assert told[-1] == [2 * PX, 2 * PX, 0, 3, 2 * PX, 2 * PX]
    assert latents.shape == (1, 4, PX, PX)


def test_gradients_go_back_through_the_network(models: ModelRegistry) -> None:
    model, rng = models.diffusion("xl"), torch.Generator().manual_seed(0)
    (states,) = model.encode([branches("a fox", PromptSyntax.PLAIN, LongPrompt.CUT, 1)[0].at(0)])
    rows = model.rows([(blank(model.facts.row, states.context, (16, 16)),)])
    latents, given = (torch.randn(1, 4, 16, 16, generator=rng) for _ in range(2))
    step, time = 1e-2 * torch.randn(1, 4, 16, 16, generator=rng), torch.tensor([500])
    pulled = model.pull_back(latents, time, rows, given)
    ahead, behind = (model.predict(latents + sign * step, time, rows) for sign in (1, -1))
    assert torch.allclose((pulled * step).sum(), ((ahead - behind) / 2 * given).sum(), atol=2e-3)


def test_its_facts_say_what_a_row_must_carry(models: ModelRegistry) -> None:
    assert models.diffusion("xl").facts.row == RowSpec(
        context_length=LENGTH,
        context_width=FIRST_WIDTH + SECOND_WIDTH,
        vector_width=POOLED + 6,
        size_ids=6,
        is_zero_for_nothing=True,
    )
    assert not models.diffusion("encoded").facts.row.is_zero_for_nothing


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_one_file_is_the_same_model_as_the_folder(tmp_path: Path) -> None:
    folder = written(lambda: checkpoints.stable_diffusion_xl(layers=10), tmp_path / "xl")
    file = tmp_path / "f.safetensors"
    write_single_file(folder, file, layers=1, with_attention=(False, True))
    whole, single = load(folder, family="sdxl"), load(file, config=folder, family="sdxl")
    assert whole.facts == single.facts
    numbers, latents = torch.tensor([[64.0, 48, 3, 5, 32, 40]]), torch.randn(1, 4, 16, 16)
    assert torch.allclose(
        predicted_with(whole, "a fox", numbers), predicted_with(single, "a fox", numbers), atol=1e-5
    )
    assert torch.allclose(whole.render(latents), single.render(latents), atol=1e-5)


def shrunk(name: str, field: str, value: Any) -> Any:
    """A change of a field in the configuration of a part."""

    def change(folder: Path) -> None:
        file = folder / name / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))

    return change


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("unet", "projection_class_embeddings_input_dim", 80, "as 80 numbers, and those of a text of 40"),
        ("unet", "addition_embed_type", "text", "its addition_embed_type is 'text'"),
        ("unet", "cross_attention_dim", 32, "as states of 32 numbers, and the text encoder's have 80"),
        ("text_encoder_2", "max_position_embeddings", 32, "read 77 and 32 tokens"),
        ("text_encoder_2", "vocab_size", 100, "and the text encoder knows 100"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_their_configurations(
    name: str, field: str, value: Any, said: str, tmp_path: Path
) -> None:
    folder = written(checkpoints.stable_diffusion_xl, tmp_path / "xl")
    shrunk(name, field, value)(folder)
    assert said in refusal(folder, family="sdxl")
