"""Diffusion on pixels against diffusers' own pipeline, and CLIP guidance of it against the whole chain by autograd."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor
from torch.nn import functional as F

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.worker.models.families.checkpoints import written
from tests.worker.models.test_unfit import refusal
from worker.calls import Decode, Denoise, Guide, PullBack
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.guidance.cutouts import make_cutouts
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

PX = 32
KINDS: dict[str, dict[str, Any]] = {
    "pixels": {},
    "with variances": {"out_channels": 6},
    "squares of 2 px": {"in_channels": 12, "out_channels": 12, "sample_size": PX // 2},
}


def pipeline(prediction: str = "epsilon", **fields: Any) -> Any:
    torch.manual_seed(0)
    network = UNet2DModel(
        **{
            "sample_size": PX,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": 16,
            "norm_num_groups": 16,
            **fields,
        }
    )
    return DDPMPipeline(network, DDPMScheduler(clip_sample=False, prediction_type=prediction))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pixels")
    return {kind: written(partial(pipeline, **fields), root / kind) for kind, fields in KINDS.items()}


@pytest.fixture(scope="module")
def tiny(folders: dict[str, Path], pocket_catalog: Catalog) -> ModelRegistry:
    """These models, beside the shipped CLIPs."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "multiple_px": 8}
    cards = [
        ModelCard.model_validate(
            {"id": f"tiny-{number}", "path": folder, "clip": "pocket-m", "family": "pixels", **size}
        )
        for number, folder in enumerate(folders.values())
    ]
    catalog = Catalog(models=(*cards, *pocket_catalog.models), clips=pocket_catalog.clips)
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))


def ask(models: ModelRegistry, kind: str, **fields: Any) -> ResolvedRequest:
    wanted = {"model": f"tiny-{list(KINDS).index(kind)}", "prompt": "a fox", "steps": 6, "seed": 7, **fields}
    return resolve(GenerateRequest.model_validate(wanted), models.catalog)


def latents_of(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs("pocket-m"))
    call = next(sampler)
    while not isinstance(call, Decode):
        call = sampler.send(runner.answer(call))
    return call.latents


@pytest.mark.parametrize("kind", ["pixels", "squares of 2 px"])
def test_unguided_it_draws_what_the_stock_pipeline_draws(
    kind: str, folders: dict[str, Path], tiny: ModelRegistry
) -> None:
    request = ask(tiny, kind, guidance={"scale": 0})
    loaded = UNet2DModel.from_pretrained(folders[kind] / "unet")
    config = dict(DDPMScheduler.from_pretrained(folders[kind] / "scheduler").config)
    stock = DDIMPipeline(loaded, DDIMScheduler.from_config(config))
    stock.set_progress_bar_config(disable=True)
    theirs = stock(
        generator=torch.Generator().manual_seed(request.seed),
        num_inference_steps=request.steps,
        output_type="np",
        use_clipped_model_output=False,
    ).images
    ours = (latents_of(request, tiny) / 2 + 0.5).clamp(0, 1)
    assert float((ours - torch.from_numpy(theirs).permute(0, 3, 1, 2)).abs().max()) < 2e-4
    assert float(ours.std()) > 0.05


def test_learned_variances_are_left_out(tiny: ModelRegistry) -> None:
    latents = latents_of(ask(tiny, "with variances", guidance={"scale": 0}), tiny)
    assert latents.shape == (1, 3, PX, PX)


def test_squares_of_pixels_are_the_pixels_in_another_order(tiny: ModelRegistry) -> None:
    model, picture = tiny.diffusion("tiny-2"), torch.rand(1, 3, PX, PX)
    latents = model.encode_pixels(picture)
    assert latents.shape == (1, 12, PX // 2, PX // 2)
    torch.testing.assert_close(model.decode(latents), picture)
    torch.testing.assert_close(latents[0, :4, 0, 0], picture[0, 0, :2, :2].flatten() * 2 - 1)


def test_guidance_is_on_by_default_and_the_prompt_counts(tiny: ModelRegistry) -> None:
    request = ask(tiny, "pixels")
    assert request.guidance is not None
    assert (request.guidance.preset, request.guidance.scale, request.cfg_scale) == ("crowson", 1000, 1)
    fewer = {"cutouts": 2}
    fox, rocket, unguided = (
        latents_of(ask(tiny, "pixels", **fields), tiny)
        for fields in (
            {"guidance": fewer},
            {"guidance": fewer, "prompt": "a rocket"},
            {"guidance": {"scale": 0}},
        )
    )
    assert not torch.equal(fox, rocket)
    assert float((fox - unguided).abs().mean()) > 1e-3
    assert ask(tiny, "pixels", prompt="").guidance is None
    assert ask(tiny, "pixels", guidance={"cutouts": 2}).guidance.preset == "crowson"  # type: ignore[union-attr]
    assert ask(tiny, "pixels", guidance={"preset": "laion"}).guidance.scale == 0.1  # type: ignore[union-attr]


REFUSED: dict[str, Any] = {
    "cfg_scale": 3,
    "negative_prompt": "grey",
    "personalization": {"embedding": "warm"},
    "adapters": [{"name": "ink"}],
    "controls": [{"model": "edges", "image": "data:image/png;base64,aaaa"}],
    "clip_skip": 1,
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_needs_a_text_is_refused_by_its_field(field: str, tiny: ModelRegistry) -> None:
    with pytest.raises(InvalidRequestError, match="reads no text") as refused:
        ask(tiny, "pixels", **{field: REFUSED[field]})
    assert refused.value.field == field


def test_a_card_with_classifier_free_guidance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its cfg_scale is 1, not 4"):
        ModelCard.model_validate(
            {"id": "p", "path": tmp_path, "clip": "c", "family": "pixels", "cfg_scale": 4}
        )


UNFIT: Mapping[str, tuple[dict[str, Any], str]] = {
    "classes": ({"num_class_embeds": 4}, "told a class"),
    "channels": ({"in_channels": 4, "out_channels": 4}, "takes 4 channels, and squares"),
    "outputs": ({"out_channels": 4}, "takes 3 channels and gives 4"),
}


@pytest.mark.parametrize(("fields", "said"), UNFIT.values(), ids=UNFIT)
def test_other_networks_are_refused(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in refusal(
        written(partial(pipeline, **fields), tmp_path / "m"), family="pixels", cfg_scale=1.0
    )


def _objectives(*, whole: bool) -> list[dict[str, Any]]:
    pixel_terms = [{"type": "tv", "weight": 0.15}, {"type": "range", "weight": 0.05}]
    return [{"type": "text", "text": "a fox"}, *(pixel_terms if whole else [])]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_guided_step_is_that_of_the_whole_chain(
    prediction: str, whole: bool, tmp_path: Path, pocket_catalog: Catalog
) -> None:
    """Crowson's loss, at a blend for CLIP and total variation and at the estimate for the range, by autograd."""
    folder = written(partial(pipeline, prediction), tmp_path / "m")
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX, "multiple_px": 8}
    card = ModelCard.model_validate(
        {"id": "tiny-0", "path": folder, "clip": "pocket-m", "family": "pixels", **size}
    )
    catalog = Catalog(models=(card,), clips=pocket_catalog.clips)
    models = ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
    guidance = {"objectives": _objectives(whole=whole), "overview_cuts": 1, "inner_cuts": 0, "trace": True}
    request = ask(models, "pixels", guidance=guidance, steps=3)
    runner, sampler = Runner(models), sampler_of(request, models, SamplerInputs("pocket-m"))
    call, seen, last = next(sampler), [], None
    while not isinstance(call, PullBack):
        answer = runner.answer(call)
        seen.append((call, answer))
        call = sampler.send(answer)
        last = call
    assert isinstance(last, PullBack)
    _, prediction_made = next(pair for pair in seen if isinstance(pair[0], Denoise))
    guides = [each for each, _ in seen if isinstance(each, Guide)]
    assert len(guides) == 1 + whole
    expected = _by_autograd(models, guides, prediction_made, prediction)
    keep, back = _chain(prediction, prediction_made), runner.answer(last)
    s = (1 - keep**2) ** 0.5
    gradients: list[Any] = [runner.answer(each) for each in guides]
    parts = [gradient.value for gradient in gradients]
    towards = s * parts[0] + (parts[1] if whole else 0)
    own_keep = 1 / keep if prediction == "epsilon" else keep
    made = own_keep * towards + (1 - s) * parts[0] + back
    assert float((made - expected).abs().max()) < 1e-5 * max(1, float(expected.abs().max()))


def _chain(prediction: str, made: Any) -> float:
    """sqrt(abar) of a prediction's time."""
    del prediction
    abars = DDPMScheduler().alphas_cumprod.double()
    return float(abars[int(made.timestep[0])].sqrt())


def _by_autograd(models: ModelRegistry, guides: list[Guide], made: Any, prediction: str) -> Tensor:
    """dL/dx through the network, the estimate, the blend, the views and CLIP at once."""
    model, clip = models.diffusion("tiny-0"), models.clip("pocket-m")
    a = _chain(prediction, made)
    s = (1 - a**2) ** 0.5
    x = made.x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        output = model.networks[0](x, made.timestep, return_dict=False)[0]
        estimate = (x - s * output) / a if prediction == "epsilon" else a * x - s * output
        blend = s * estimate + (1 - s) * x
        picture = blend / 2 + 0.5
        (terms,) = guides[0].loss.clip_terms
        assert terms.cutouts.noise is None
        embedded = clip.embed(make_cutouts(picture, terms.cutouts))
        total = torch.stack([term.weight * term.loss(embedded).mean() for term in terms.terms]).sum()
        if len(guides) > 1:
            padded = F.pad(blend, (0, 1, 0, 1), mode="replicate")
            across = padded[..., :-1, 1:] - padded[..., :-1, :-1]
            down = padded[..., 1:, :-1] - padded[..., :-1, :-1]
            total = total + 0.15 * (across.square() + down.square()).mean()
            total = total + 0.05 * (estimate - estimate.clamp(-1, 1)).square().mean()
        gradient: Tensor = torch.autograd.grad(total, x)[0]
    return gradient


def test_a_batch_of_pictures_with_and_without_guidance_holds_each_as_it_is_alone(tiny: ModelRegistry) -> None:
    requests = [
        ask(tiny, "squares of 2 px", seed=1, guidance={"cutouts": 2}),
        ask(tiny, "squares of 2 px", seed=2, guidance={"scale": 0}),
        ask(tiny, "squares of 2 px", seed=3, steps=4, sampler="euler_ancestral", guidance={"cutouts": 3}),
    ]
    together = [picture.pixels for (picture,) in generate_all(requests, Runner(tiny))]
    for request, made in zip(requests, together, strict=True):
        ((alone,),) = generate_all([request], Runner(tiny))
        assert float((alone.pixels - made).abs().max()) < 1e-3
