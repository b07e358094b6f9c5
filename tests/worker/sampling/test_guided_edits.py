"""What steers a picture from noise steers an edit too: personalization, a scorer that chooses, guidance and both."""

from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from tests.brought_pictures import scene
from tests.worker.sampling.starting import BOX, canvas, canvas_with, from_picture, mask_of
from tests.worker.sampling.test_mask import asked
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.canvas import Canvas
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.models.registry import ModelRegistry
from worker.pictures.levels import levels
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs

WARM = "warm"


@pytest.fixture
def models(trained: ModelRegistry) -> ModelRegistry:
    """The shipped ones: a text encoder is trained on."""
    return trained


def personalized(request: ResolvedRequest) -> ResolvedRequest:
    personalization = ResolvedPersonalization(
        embedding=WARM,
        digest=WARM,
        steps=4,
        lr=3e-4,
        weight=1,
        blend="lerp",
        text=None,
        text_angle=0,
        text_negative=False,
    )
    return request.model_copy(update={"personalization": personalization})


def made(request: ResolvedRequest, models: ModelRegistry, start: Canvas, scorer: str = "pocket-m") -> Picture:
    """A picture of a request, with an embedding that is the mean of nothing but one text."""
    warm = AestheticEmbedding(models.clip("pocket-s").embed_text("a yellow sunflower")[0], "pocket-s", {})
    inputs = SamplerInputs(scorer, text_clip="pocket-s", embeddings={WARM: warm}, canvas=start)
    runner, sampler = Runner(models), sampler_of(request, models, inputs)
    answer: object = None
    while True:
        try:
            answer = runner.answer(sampler.send(answer))
        except StopIteration as end:
            picture: Picture = end.value
            return picture


def pixels(picture: Picture) -> Tensor:
    return (picture.pixels * 255).round().to(torch.uint8)


@pytest.mark.parametrize("guidance", [None, {"cutouts": 4, "scale": 0.5}])
def test_a_personalized_edit_is_another_one_and_keeps_what_the_mask_keeps(
    guidance: dict[str, Any] | None, models: ModelRegistry
) -> None:
    plain = asked(models, 0.8, steps=5, guidance=guidance)
    start, own, hole = canvas_with(plain), levels(scene(64, 64)), BOX[:1] > 0
    before, after = (pixels(made(request, models, start)) for request in (plain, personalized(plain)))
    assert torch.equal(after * ~hole, own * ~hole)
    assert ((after.int() - before.int()).abs() * hole).float().sum() / (3 * hole.sum()) > 1


def test_personalization_changes_a_picture_less_the_less_of_the_run_is_left(models: ModelRegistry) -> None:
    start, moved = canvas(), []
    for strength in (0.3, 0.9):
        plain = from_picture(models.catalog, strength, steps=10)
        before, after = (made(request, models, start).pixels for request in (plain, personalized(plain)))
        moved.append(float((after - before).square().mean()))
    assert 0 < moved[0] < moved[1]


@pytest.mark.parametrize("scorer", ["pocket-m", "pocket-eval"])
def test_the_scorer_that_chooses_sees_the_whole_pasted_picture(scorer: str, models: ModelRegistry) -> None:
    request = asked(models, 0.8, steps=3, mask={"area": "masked", "padding": 2})
    large = scene(96, 96)
    start = canvas_with(request, mask_of(40, 40, 60, 60, 96), large)
    picture = made(request, models, start, scorer)
    clip = models.clip(scorer)
    assert tuple(picture.pixels.shape) == (3, 96, 96)
    assert picture.clip_score == pytest.approx(
        clip.score(picture.pixels, clip.embed_text(request.prompt)), abs=1e-4
    )
    assert picture.clip_score != pytest.approx(
        clip.score(levels(large) / 255, clip.embed_text(request.prompt)), abs=1e-4
    )
