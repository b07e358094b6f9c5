"""The control that ships with the project: pictures follow their maps, and at weight 0 they are as without it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.requests.request import ResolvedRequest
from training.variants.edge_figures import edge_f1
from training.variants.edges import edges_of
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.sampling.inputs import SamplerInputs

SOURCE = f"sha256:{'0' * 64}"
STEPS = 10
Draw = Callable[..., Tensor]


@pytest.fixture(scope="module")
def source(ask: Callable[..., ResolvedRequest], models: ModelRegistry) -> Tensor:
    """A drawing, uint8 [3, 64, 64]."""
    drawing = ask(prompt="noto fox on a light blue background", steps=STEPS)
    pixels = generate(drawing, Runner(models), SamplerInputs("pocket-m")).pixels
    return (255 * pixels).round().to(torch.uint8)


@pytest.fixture(scope="module")
def draw(source: Tensor, ask: Callable[..., ResolvedRequest], models: ModelRegistry) -> Draw:
    """Pictures [3, 64, 64] in [0, 1] of prompts, by a control with the drawing at some weight, if any."""

    def drawn(prompt: str, weight: float | None) -> Tensor:
        controls = [] if weight is None else [{"model": "edges", "image": SOURCE, "weight": weight}]
        request = ask(prompt=prompt, steps=STEPS, controls=controls)
        hints = hints_for(request, {SOURCE: source}, None)
        return generate(request, Runner(models), SamplerInputs("pocket-m", hints=hints)).pixels

    return drawn


def _edges(pixels: Tensor) -> Tensor:
    return torch.from_numpy(edges_of(pixels.numpy() * 2 - 1))[None]


@pytest.mark.parametrize("prompt", ["flat rabbit on a red background", "noto mouse on an orange background"])
def test_a_picture_follows_the_edges_of_a_drawing(prompt: str, source: Tensor, draw: Draw) -> None:
    wanted = _edges(source.float() / 255)
    followed, free = (edge_f1(_edges(draw(prompt, weight)), wanted) for weight in (1.0, None))
    assert followed > 0.75
    assert followed > free + 0.15


def test_with_a_weight_of_zero_it_is_not_there(draw: Draw) -> None:
    assert torch.equal(draw("noto cat", 0.0), draw("noto cat", None))


def test_it_fits_the_models_that_it_says(pocket_catalog: Catalog, models: ModelRegistry) -> None:
    (card,) = pocket_catalog.controls
    assert card.base
    for name in card.base:
        models.diffusion(name).require_control(models.control(card.id))
