"""T2I-Adapters against diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    MultiAdapter,
    StableDiffusionAdapterPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers import T2IAdapter as StockAdapter
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.controls.conftest import PX
from tests.worker.models.controls.test_controls import (
    LEVELS,
    MAP,
    OTHER,
    ask,
    inputs_of,
    latents_of,
    picture,
    sampler_rows,
)
from tests.worker.models.families import checkpoints
from tests.worker.models.variants import POCKET
from tests.worker.running import TOLERANCE, Running, pictures
from tests.worker.sampling.stock import stock_scheduler
from worker.canvas import Canvas
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Work
from worker.models.controls.control import Base
from worker.models.controls.t2i_adapter import T2IAdapter
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs
from worker.rows import Emphasis
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
KINDS: dict[str, dict[str, Any]] = {
    "full": {"channels": [32, 64], "num_res_blocks": 2},
    "light": {"channels": [32], "num_res_blocks": 2, "adapter_type": "light_adapter"},
    "grey": {"channels": [32, 64], "num_res_blocks": 1, "in_channels": 1},
}
SETS: dict[str, list[dict[str, Any]]] = {
    "full": [{"model": "full", "image": MAP}],
    "light": [{"model": "light", "image": MAP, "weight": 1.6}],
    "two": [{"model": "full", "image": MAP, "weight": 0.6}, {"model": "full", "image": OTHER, "weight": 0.3}],
}


def adapter(seed: int, **fields: Any) -> StockAdapter:
    torch.manual_seed(seed)
    return StockAdapter(**{"downscale_factor": 2, **fields})


@pytest.fixture(scope="module")
def networks() -> dict[str, StockAdapter]:
    return {name: adapter(seed, **fields) for seed, (name, fields) in enumerate(KINDS.items())}


@pytest.fixture(scope="module")
def models(
    folders: dict[str, Path],
    networks: dict[str, StockAdapter],
    pocket_catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> ModelRegistry:
    """A model whose two levels have one width each, one whose levels are alike, and the adapters."""
    root = tmp_path_factory.mktemp("adapters")
    controls = [ControlCard(id="edges", path=folders["edges"])]
    for name, network in networks.items():
        network.save_pretrained(root / name)
        controls.append(ControlCard(id=name, path=root / name))
    like = checkpoints.parts(checkpoints.unet(block_out_channels=(32, 32)), checkpoints.ddim())
    even = checkpoints.written(lambda: StableDiffusionPipeline(**like), root / "even")
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "cfg_scale": 5, "clip": "pocket-m"}
    cards = [
        ModelCard.model_validate({"id": name, "path": path, **size})
        for name, path in (("tiny", folders["tiny"]), ("even", even))
    ]
    catalog = Catalog(models=tuple(cards), clips=pocket_catalog.clips, controls=tuple(controls))
    return ModelRegistry(catalog, CPU)


def theirs(request: Any, networks: list[StockAdapter], folder: Path) -> Tensor:
    """What diffusers draws for a request."""
    controls = request.controls
    stock = networks[0] if len(networks) == 1 else MultiAdapter(networks)
    pipeline = StableDiffusionAdapterPipeline.from_pretrained(folder, adapter=stock, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    images, weights = [picture(each.image) for each in controls], [each.weight for each in controls]
    latents: Tensor = pipeline(
        request.prompt,
        image=images if len(images) > 1 else images[0],
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        adapter_conditioning_scale=weights if len(images) > 1 else weights[0],
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    return latents


@pytest.mark.parametrize("named", SETS)
def test_it_draws_what_the_stock_pipeline_draws(
    named: str, models: ModelRegistry, networks: dict[str, StockAdapter]
) -> None:
    model = "even" if named == "light" else "tiny"
    request = ask(models, *SETS[named], model=model)
    stock = [networks[each["model"]] for each in SETS[named]]
    folder = models.catalog.model(model).path
    assert folder is not None
    ours, plain = latents_of(request, models), latents_of(ask(models, model=model), models)
    assert float((ours - theirs(request, stock, folder)).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01


def test_jobs_with_adapters_controlnets_both_or_none_share_batches(models: ModelRegistry) -> None:
    edges = {"model": "edges", "image": MAP}
    sets = [[], *list(SETS.values())[::2], [edges], [edges, *SETS["full"]], [{**SETS["full"][0], "end": 0.5}]]
    requests = [ask(models, *controls) for controls in sets]
    running = Running(models)
    for number, request in enumerate(requests):
        running.engine.admit(Work(str(number), request, Inputs(hints=hints_for(request, LEVELS, None))))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        alone = generate(request, Runner(models), inputs_of(request))
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_gradients_go_back_beside_the_features(models: ModelRegistry) -> None:
    model, rng = models.diffusion("tiny"), torch.Generator().manual_seed(0)
    rows = model.rows([sampler_rows(ask(models, *SETS["full"], cfg_scale=1), models)], models)
    latents, given = (torch.randn(1, 4, 16, 16, generator=rng) for _ in range(2))
    step, time = 1e-2 * torch.randn(1, 4, 16, 16, generator=rng), torch.tensor([500])
    pulled = model.pull_back(latents, time, rows, given)
    ahead, behind = (model.predict(latents + sign * step, time, rows) for sign in (1, -1))
    assert torch.allclose((pulled * step).sum(), ((ahead - behind) / 2 * given).sum(), atol=2e-3)


def test_a_map_is_read_once_for_all_steps_and_rows(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = models.control("full")
    assert isinstance(control, T2IAdapter)
    run, runs = control._run, []

    def counted(canvas: Canvas) -> tuple[Tensor, ...]:
        runs.append(canvas)
        return run(canvas)

    monkeypatch.setattr(control, "_run", counted)
    control._features.clear()
    latents_of(ask(models, *SETS["two"]), models)
    assert len(runs) == 2


def test_a_grey_adapter_reads_brightness(models: ModelRegistry, networks: dict[str, StockAdapter]) -> None:
    request = ask(models, {"model": "grey", "image": MAP})
    (canvas,) = hints_for(request, LEVELS, None)[PX, PX]
    (first, _) = models.control("grey").read([canvas])
    grey = torch.tensor([0.299, 0.587, 0.114]) @ (canvas.pixels.float() / 255).flatten(1)
    expected = networks["grey"](grey.view(1, 1, PX, PX))[0]
    assert torch.allclose(first, expected, atol=1e-5)


def test_the_prompts_mode_weakens_the_first_features(models: ModelRegistry) -> None:
    control = models.control("full")
    assert control.scales(2.0, Emphasis.FLAT) == [2.0, 2.0]
    assert control.scales(2.0, Emphasis.SOFT) == [1.65, 2.0]
    assert control.scales(2.0, Emphasis.RISING) == pytest.approx([0.2, 2.0])


def test_an_adapter_of_another_model_is_refused(models: ModelRegistry) -> None:
    with pytest.raises(ModelUnavailableError, match="made for another model: its list of features"):
        models.diffusion("even").require_control(models.control("full"))
    pocket = UNet2DConditionModel.from_pretrained(POCKET / "unet")
    with pytest.raises(ModelUnavailableError, match="made for another model"):
        models.control("full").require_fit(Base(pocket, 8, 4))
