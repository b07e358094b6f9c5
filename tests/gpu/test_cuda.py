"""Tests that need a CUDA device. Run by ``make test-gpu``."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.calls import Guide
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Yield
from worker.guidance.gradient import Gradient
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent.parent


def draw(models: ModelRegistry, **fields: object) -> tuple[Picture, list[Gradient]]:
    """One picture, and the gradients that guided it."""
    request = resolve(
        GenerateRequest.model_validate({"prompt": "a red apple", "steps": 10, "seed": 7} | fields),
        models.catalog,
    )
    runner, gradients = Runner(models), []
    sampler = sampler_of(request, models, SamplerInputs("pocket-m"))
    call: Yield = next(sampler)
    while True:
        answer = runner.answer(call)
        if isinstance(call, Guide) and isinstance(answer, Gradient):
            gradients.append(answer)
        try:
            call = sampler.send(answer)
        except StopIteration as end:
            return end.value.on_cpu(), gradients


def registry(**settings: object) -> ModelRegistry:
    return ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings.model_validate(settings)))


def test_the_default_on_cuda_is_fp16_with_xformers_where_it_is_installed() -> None:
    device = Device(WorkerSettings())
    assert device.device.type == "cuda"
    assert device.dtype_name == "fp16"
    assert device.attention == ("xformers" if find_spec("xformers") else "sdpa")


def test_guidance_in_fp16_gives_finite_gradients_close_to_those_in_fp32() -> None:
    half, half_gradients = draw(registry(dtype="fp16"), guidance={"cutouts": 16})
    full, full_gradients = draw(registry(dtype="fp32"), guidance={"cutouts": 16})
    assert all(gradient.finite for gradient in half_gradients)
    first_half, first_full = half_gradients[0].value.flatten(), full_gradients[0].value.flatten()
    assert torch.cosine_similarity(first_half, first_full, dim=0) > 0.95
    assert (half.pixels - full.pixels).abs().mean() < 0.1


@pytest.mark.skipif(find_spec("xformers") is None, reason="needs xformers")
def test_both_attentions_draw_the_same_picture() -> None:
    ours, torchs = (draw(registry(dtype="fp32", attention=name))[0].pixels for name in ("xformers", "sdpa"))
    assert (ours - torchs).abs().max() < 0.05


def test_a_picture_made_on_cuda_starts_from_the_noise_of_its_seed_on_a_cpu() -> None:
    cuda, cpu = (draw(registry(dtype="fp32", device=name))[0].pixels for name in ("cuda", "cpu"))
    assert (cuda - cpu).abs().mean() < 0.02
