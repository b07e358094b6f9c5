"""The controls that ship with the project: pictures follow their maps, and at weight 0 they are as without them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.requests.request import ResolvedRequest
from training.variants.edge_figures import edge_f1
from training.variants.edges import edges_of
from training.variants.evaluate_tiles import SIDE_PX, tile_error
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
    """Pictures [3, 64, 64] in [0, 1] of prompts, by controls with the drawing at some weight, if any."""

    def drawn(prompt: str, weight: float | None, *names: str) -> Tensor:
        told = {"image": SOURCE, "weight": weight, "downsample": SIDE_PX}
        controls = [] if weight is None else [{"model": name, **told} for name in names or ("edges",)]
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


def test_a_picture_has_the_colours_of_the_tiles_of_a_drawing(source: Tensor, draw: Draw) -> None:
    wanted = (source.float() / 255)[None]
    free, coloured, both = draw("", None), draw("", 1.0, "tiles"), draw("", 1.0, "tiles", "edges")
    for made in (coloured, both):
        assert tile_error(made[None], wanted) < 0.5 * tile_error(free[None], wanted)
    assert edge_f1(_edges(both), _edges(wanted[0])) > edge_f1(_edges(free), _edges(wanted[0])) + 0.15


@pytest.mark.parametrize("name", ["edges", "tiles"])
def test_with_a_weight_of_zero_it_is_not_there(name: str, draw: Draw) -> None:
    assert torch.equal(draw("noto cat", 0.0, name), draw("noto cat", None))


def test_they_fit_the_models_that_they_say(pocket_catalog: Catalog, models: ModelRegistry) -> None:
    assert [card.id for card in pocket_catalog.controls] == ["edges", "tiles"]
    for card in pocket_catalog.controls:
        assert card.base
        for name in card.base:
            models.diffusion(name).require_control(models.control(card.id))
