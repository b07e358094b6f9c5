"""Checkpoints whose UNet takes the guidance scale as an input, against diffusers' own pipelines of the same folders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionXLPipeline,
)
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import written
from tests.worker.models.families.test_stable_diffusion import latents_of
from tests.worker.models.test_unfit import refusal
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.rows import Row
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

PX, EMBEDDED = 32, 16
MAKE: dict[str, Any] = {
    "lcm": lambda: checkpoints.latent_consistency(time_cond_proj_dim=EMBEDDED),
    "lcm-xl": lambda: checkpoints.stable_diffusion_xl(time_cond_proj_dim=EMBEDDED),
}
FAMILY = {"lcm": "sd", "lcm-xl": "sdxl"}
STOCK: dict[str, Any] = {"lcm": LatentConsistencyModelPipeline, "lcm-xl": StableDiffusionXLPipeline}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: written(make, root / kind) for kind, make in MAKE.items()}


def card(name: str, folder: Path, **fields: Any) -> ModelCard:
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX}
    told = {"id": name, "path": folder, "clip": "pocket-m", "family": FAMILY[name], **size}
    return ModelCard.model_validate({**told, "cfg_embedded": True, **fields})


@pytest.fixture(scope="module")
def models(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    cards = tuple(card(name, folder) for name, folder in folders.items())
    catalog = Catalog(models=cards, clips=pocket_catalog.clips)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def ask(models: ModelRegistry, **fields: Any) -> ResolvedRequest:
    return resolve(GenerateRequest.model_validate({"prompt": "a fox", "seed": 7, **fields}), models.catalog)


@pytest.mark.parametrize("scale", [1.0, 8.0, 14.5])
@pytest.mark.parametrize("kind", MAKE)
def test_it_draws_what_the_stock_pipeline_draws(
    kind: str, scale: float, folders: dict[str, Path], models: ModelRegistry
) -> None:
    request = ask(models, model=kind, cfg_scale=scale, negative_prompt="grey")
    assert (request.steps, request.sampler, request.rows) == (4, SamplerName.LCM, 1)
    pipeline = STOCK[kind].from_pretrained(
        folders[kind], scheduler=LCMScheduler.from_config(lcm_config(folders[kind]))
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        request.prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images
    ours = latents_of(request, models)
    assert float((ours - theirs).abs().max()) < 2e-4
    other = latents_of(ask(models, model=kind, cfg_scale=scale + 1), models)
    assert float((ours - other).abs().max()) > 0.01


def lcm_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = LCMScheduler.load_config(folder / "scheduler")
    return config


def test_rows_of_several_scales_share_a_batch(models: ModelRegistry) -> None:
    model = models.diffusion("lcm")
    x, times = torch.randn(2, 4, 16, 16), torch.tensor([999, 499])
    text = model.encode_texts(["a fox"])
    rows = [(Row(text, guidance=torch.randn(1, EMBEDDED, generator=seeded(n))),) for n in range(2)]
    both = model.predict(x, times, model.rows(rows))
    for number, row in enumerate(rows):
        mine = slice(number, number + 1)
        alone = model.predict(x[mine], times[mine], model.rows([row]))
        assert torch.allclose(both[mine], alone, atol=1e-5)
        swapped = model.predict(x[mine], times[mine], model.rows([rows[1 - number]]))
        assert not torch.allclose(alone, swapped, atol=1e-3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gradients_go_back_through_it(models: ModelRegistry) -> None:
    model = models.diffusion("lcm")
    row = Row(model.encode_texts(["a fox"]), guidance=torch.randn(1, EMBEDDED))
    x, given = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 16, 16)
    pulled = model.pull_back(x, torch.tensor([499]), model.rows([(row,)]), given)

    def along(step: float) -> Tensor:
        moved = model.predict(x + step * pulled / pulled.norm(), torch.tensor([499]), model.rows([(row,)]))
        return (moved * given).sum()

    assert float(along(1e-2) - along(-1e-2)) / 2e-2 == pytest.approx(float(pulled.norm()), rel=2e-2)


def test_clip_guidance_and_pictures_to_start_from_go_with_it(models: ModelRegistry) -> None:
    guided = ask(
        models,
        model="lcm",
        guidance={"preset": "fast", "cutouts": 2, "clip": "pocket-m", "start": 0, "end": 1},
    )
    picture = generate(guided, Runner(models), SamplerInputs("pocket-m"))
    assert torch.isfinite(picture.pixels).all()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"cfg_scale": 0.5}, "cfg_scale", "from 1"),
        ({"cfg_scale": 0}, "cfg_scale", "from 1"),
        ({"cfg_embedded": False}, "cfg_embedded", "is true; leave it out"),
        ({"prompt": "a fox AND a box", "prompt_syntax": "a1111"}, "prompt", "AND needs several"),
        ({"guidance": {"preset": "mpgd", "start": 0, "end": 1}}, "cfg_scale", "reads cfg_scale as an input"),
        ({"model": "lcm-xl", "refiner": {}}, "refiner", "reads cfg_scale as an input"),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused(
    fields: dict[str, Any], field: str, reason: str, models: ModelRegistry
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(models, **{"model": "lcm", **fields})
    assert refused.value.field == field


def test_the_answered_request_can_be_sent_again(models: ModelRegistry) -> None:
    request = ask(models, model="lcm", cfg_scale=3)
    assert ask(models, model="lcm", cfg_scale=3, cfg_embedded=request.cfg_embedded) == request


def test_another_model_is_not_told_the_scale(pocket_catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="cfg_embedded of model 'pocket' is false") as refused:
        resolve(GenerateRequest(prompt="a fox", cfg_embedded=True), pocket_catalog)
    assert refused.value.field == "cfg_embedded"


def test_the_catalog_has_to_say_so(folders: dict[str, Path], tmp_path: Path) -> None:
    assert "takes the guidance scale as an input: write cfg_embedded = true" in refusal(folders["lcm"])
    plain = written(checkpoints.stable_diffusion, tmp_path / "m")
    assert "does not take the guidance scale as an input: write cfg_embedded = false" in refusal(
        plain, cfg_embedded=True
    )


def test_a_default_scale_below_that_of_no_guidance_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"takes 1 \(no guidance\) or more, not 0.5"):
        card("lcm", folders["lcm"], cfg_scale=0.5)
