"""The small SDXL that ships with the project: it draws what is asked, as sharp and where the stated sizes say."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from training.judges.clips import embed
from training.xl.figures import centroids, laplacian_energy
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.registry import ModelRegistry

PROMPTS = ("noto red apple", "twemoji fox", "fluent teapot", "flat mushroom")
SCORE = 0.853  # pocket-eval's of the pictures of ``PROMPTS`` as they are drawn here
Draw = Callable[..., Tensor]


@pytest.fixture(scope="module")
def draw(pocket_catalog: Catalog, models: ModelRegistry) -> Draw:
    """Pictures [N, 3, 64, 64] in [0, 1] of all prompts, with sizes stated or without."""

    def asked(prompt: str, sizes: dict[str, object] | None) -> ResolvedRequest:
        wanted = {"model": "pocket-xl", "prompt": prompt, "seed": 7, "steps": 12, "sizes": sizes}
        return resolve(GenerateRequest.model_validate(wanted), pocket_catalog)

    def drawn(sizes: dict[str, object] | None = None) -> Tensor:
        requests = [asked(prompt, sizes) for prompt in PROMPTS]
        return torch.stack([picture.pixels for (picture,) in generate_all(requests, Runner(models))])

    return drawn


def test_its_pictures_show_what_was_asked(draw: Draw, models: ModelRegistry) -> None:
    judge = models.clip("pocket-eval")
    similar = (embed(judge, draw()) * judge.embed_texts(list(PROMPTS))).sum(dim=1)
    assert similar.mean().item() == pytest.approx(SCORE, abs=0.02)


def test_a_picture_that_was_small_once_is_softer(draw: Draw) -> None:
    energies = [
        float(laplacian_energy(draw({"original": {"width": side, "height": side}})).mean())
        for side in (16, 24, 32, 64)
    ]
    assert energies == sorted(energies)
    assert energies[-1] > 2 * energies[0]


def test_a_drawing_moves_with_what_is_cut(draw: Draw) -> None:
    whole, left, above = (
        centroids(draw({"crop": {"left": left, "top": top}})).mean(dim=0)
        for left, top in ((0, 0), (10, 0), (0, 10))
    )
    assert (whole - left)[1] > 4
    assert (whole - above)[0] > 4
    assert abs(float((whole - left)[0])) < 3
    assert abs(float((whole - above)[1])) < 3


def test_what_is_not_stated_is_the_size_that_is_drawn_without_a_cut(draw: Draw) -> None:
    side = {"width": 64, "height": 64}
    assert torch.equal(draw(), draw({"original": side, "target": side, "crop": {"left": 0, "top": 0}}))
