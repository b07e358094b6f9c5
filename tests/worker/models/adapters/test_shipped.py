"""The adapters that ship with the project are what the catalog and their files say."""

from collections.abc import Callable

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
from worker.sampling.inputs import SamplerInputs

STEPS = 8


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
