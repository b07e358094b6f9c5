"""The adapters that ship with the project are what the catalog and their files say."""

from collections.abc import Callable
from statistics import fmean

import pytest
import torch
from safetensors import safe_open

from jobs.catalog.catalog import Catalog
from jobs.requests.request import ResolvedRequest
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.adapters.description import described
from worker.models.adapters.inspection import inspect
from worker.models.adapters.loading import file_of
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs

STEPS = 8
FEW = {"sampler": "lcm", "cfg_scale": 1}
# What pocket-eval says of four pictures in four steps, when the adapter was shipped.
SCORE, TOLERANCE = 0.864, 0.02


def test_every_adapter_fits_its_models_and_its_header_says_what_the_catalog_says(
    pocket_catalog: Catalog,
) -> None:
    assert pocket_catalog.adapters
    for card in pocket_catalog.adapters:
        assert card.path is not None
        assert set(inspect(card.path, pocket_catalog, card.base).fit.models) == set(card.base)
        with safe_open(file_of(card.path), framework="pt") as opened:
            said = described(opened.metadata())
        assert (said.triggers, said.licence) == (card.triggers, card.licence), card.id


def _saturation(pixels: torch.Tensor) -> float:
    return float((pixels.amax(dim=0) - pixels.amin(dim=0)).mean())


@pytest.mark.parametrize("thing", ["fox", "red apple"])  # it has seen no apple
def test_ink_takes_the_colour_out_of_a_picture(
    thing: str, ask: Callable[..., ResolvedRequest], models: ModelRegistry
) -> None:
    runner, inputs = Runner(models), SamplerInputs("pocket-m")

    def drawn(weight: float) -> torch.Tensor:
        told = [{"name": "ink", "weight": weight}]
        return generate(
            ask(prompt=f"flat {thing}", steps=STEPS, seed=3, adapters=told), runner, inputs
        ).pixels

    plain, inked = drawn(0), drawn(1)
    assert _saturation(inked) < 0.4 * _saturation(plain)
    assert float((inked < 0.3).float().mean()) > 0.05  # the ink


def test_delft_paints_a_red_teapot_blue(ask: Callable[..., ResolvedRequest], models: ModelRegistry) -> None:
    """It has seen no teapot."""
    runner, inputs = Runner(models), SamplerInputs("pocket-m")

    def blueness(weight: float) -> float:
        told = [{"name": "delft", "weight": weight}]
        request = ask(prompt="noto teapot", steps=STEPS, seed=3, adapters=told)
        red, _, blue = generate(request, runner, inputs).pixels.mean(dim=(1, 2))
        return float(blue - red)

    assert blueness(0) < -0.05
    assert blueness(1) > 0.05


FEW_PROMPTS = ("noto fox", "twemoji rocket", "fluent red apple on a light blue background", "flat teapot")


def _few(
    steps: int, weight: float, ask: Callable[..., ResolvedRequest], models: ModelRegistry
) -> list[Picture]:
    runner, inputs = Runner(models), SamplerInputs("pocket-eval")
    told = [{"name": "lcm", "weight": weight}]
    requests = [ask(prompt=prompt, seed=3, steps=steps, adapters=told, **FEW) for prompt in FEW_PROMPTS]
    return [generate(request, runner, inputs) for request in requests]


def test_lcm_draws_in_four_steps_what_the_prompts_say(
    ask: Callable[..., ResolvedRequest], models: ModelRegistry
) -> None:
    assert abs(fmean(picture.clip_score for picture in _few(4, 1, ask, models)) - SCORE) < TOLERANCE


def test_one_step_is_sharper_with_lcm(ask: Callable[..., ResolvedRequest], models: ModelRegistry) -> None:
    def sharpness(weight: float) -> float:
        pixels = torch.stack([picture.pixels for picture in _few(1, weight, ask, models)])
        return float(pixels.diff(dim=-1).square().mean() + pixels.diff(dim=-2).square().mean())

    assert sharpness(1) > 1.15 * sharpness(0)
