"""Adapters of SDXL in every format, against diffusers' own pipeline with PEFT."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from benchmarks.loading.single_file import original_unet_key
from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.errors import ModelUnavailableError
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import ScheduleName
from tests.worker.models.adapters import writing
from tests.worker.models.families.xl import PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.running import TOLERANCE
from tests.worker.sampling.stock import stock_scheduler
from worker.calls import Decode
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.models.adapters.fitting import changeable, fitted
from worker.models.adapters.original_names import original_names
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`", "ignore::FutureWarning")

PARTS = ("unet", "text_encoder", "text_encoder_2")
SETS: dict[str, dict[str, float]] = {
    "one": {"all": 1.0},
    "original names": {"original": 0.8},
    "two": {"all": 0.5, "original": -0.6},
    "the second encoder's alone": {"second": 1.0},
}


def original(name: str) -> str:
    """A UNet's layer by its name in the original release."""
    return original_unet_key(f"{name}.weight", 1, (False, True)).removesuffix(".weight")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xl_folder(tmp_path_factory.mktemp("xl") / "xl")


@pytest.fixture(scope="module")
def stock(folder: Path) -> Any:
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def drafts(stock: Any) -> dict[str, writing.Draft]:
    """Adapters by name: of all layers, of attentions, of the second text encoder alone."""
    networks = {part: getattr(stock, part) for part in PARTS}
    return {
        "all": writing.draw(networks, 1),
        "original": writing.draw(networks, 2, "attn"),
        "second": writing.draw({"text_encoder_2": stock.text_encoder_2}, 3),
    }


@pytest.fixture(scope="module")
def files(drafts: dict[str, writing.Draft], folder: Path) -> dict[str, Path]:
    root = folder.parent
    return {
        "all": writing.peft(drafts["all"], root / "all.safetensors"),
        "original": writing.kohya(drafts["original"], root / "original.safetensors", original),
        "second": writing.peft(drafts["second"], root / "second.safetensors"),
    }


@pytest.fixture(scope="module")
def adapted(folder: Path, files: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    adapters = tuple(AdapterCard(id=name, path=file, base=("xl",)) for name, file in files.items())
    return xl_registry(Catalog(models=(xl_card(folder),), clips=pocket_catalog.clips, adapters=adapters))


def asked(models: ModelRegistry, weights: dict[str, float], **fields: Any) -> ResolvedRequest:
    adapters = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return ask(models, adapters=adapters, negative_prompt="grey", **fields)


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    """The finished latents of a picture."""
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


@pytest.fixture(scope="module")
def pipeline(stock: Any, files: dict[str, Path]) -> Any:
    for name, file in files.items():
        stock.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=name)
    return stock


@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(named: str, pipeline: Any, adapted: ModelRegistry) -> None:
    weights = SETS[named]
    request = asked(adapted, weights)
    pipeline.set_adapters(list(weights), list(weights.values()))
    config = adapted.diffusion("xl").facts.scheduler_config
    pipeline.scheduler = stock_scheduler((request.sampler, ScheduleName.DEFAULT), config)
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
    ours, plain = latents_of(request, adapted), latents_of(asked(adapted, {}), adapted)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01


@pytest.mark.parametrize("written", ["diffusers", "kohya", "kohya, original names"])
def test_every_format_is_the_same_adapter(
    written: str, drafts: dict[str, writing.Draft], adapted: ModelRegistry, tmp_path: Path
) -> None:
    draft, file = drafts["all"], tmp_path / "a.safetensors"
    match written:
        case "diffusers":
            writing.peft(draft, file)
        case "kohya":
            writing.kohya(draft, file)
        case _:
            writing.kohya(draft, file, original)
    registry = xl_registry(
        Catalog(
            models=adapted.catalog.models,
            clips=adapted.catalog.clips,
            adapters=(AdapterCard(id="a", path=file),),
        )
    )
    loaded, model = registry.adapter("a"), adapted.diffusion("xl")
    networks = dict(zip(("text_encoder", "text_encoder_2", "unet"), model.networks, strict=False))
    for part, drawn in draft.items():
        own = fitted(loaded, part, networks[part]).layers
        assert own.keys() == drawn.keys()
        for layer, factors in own.items():
            expected = (
                drawn[layer].up.flatten(1) @ drawn[layer].down.flatten(1) * writing.ALPHA / writing.RANK
            )
            assert torch.allclose(factors.product.flatten(1), expected, atol=1e-7)


def test_every_layer_of_the_unet_has_a_name_in_the_original_release(adapted: ModelRegistry) -> None:
    layers = list(changeable(adapted.diffusion("xl").networks[2]))
    names = original_names(layers)
    assert names == {name: original(name) for name in layers}
    assert len(set(names.values())) == len(layers)


def test_jobs_with_other_adapters_share_a_run(adapted: ModelRegistry) -> None:
    requests = [asked(adapted, each) for each in (*SETS.values(), {})]
    requests.append(ask(adapted, sizes={"original": {"width": 9, "height": 8}}))
    runner = Runner(adapted)
    together = generate_all(requests, runner)
    for request, (picture,) in zip(requests, together, strict=True):
        alone = generate(request, runner, SamplerInputs("pocket-m"))
        assert torch.allclose(alone.pixels, picture.pixels, atol=TOLERANCE)


def test_an_adapter_of_sdxl_fits_no_stable_diffusion(adapted: ModelRegistry, models: ModelRegistry) -> None:
    for name, reason in (("all", "text_encoder_2, which this model lacks"), ("second", "text_encoder_2")):
        with pytest.raises(ModelUnavailableError, match=reason):
            models.diffusion("pocket").adaptations.require(adapted.adapter(name))
