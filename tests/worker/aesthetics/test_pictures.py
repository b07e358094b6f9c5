"""Personalized and scored pictures, made by the pocket models."""

import queue
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError, NoImageTowerError
from jobs.requests.objectives import AestheticObjective, EmbeddingObjective, Objective
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.aesthetics.predictor import AestheticHead
from worker.calls import EncodeText, Personalize, Tuning
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.solo import generate, sampler_of
from worker.engine.work import Finished, Outcome, Work
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.sampling.inputs import SamplerInputs

Ask = Callable[..., ResolvedRequest]


@pytest.fixture(scope="module")
def warm(models: ModelRegistry) -> AestheticEmbedding:
    return AestheticEmbedding(models.clip("pocket-s").embed_text("fluent flat dark green")[0], "pocket-s", {})


@pytest.fixture(scope="module")
def inputs(warm: AestheticEmbedding) -> SamplerInputs:
    return SamplerInputs("pocket-m", "pocket-s", text_clip="pocket-s", embeddings={warm.digest: warm})


def towards(request: ResolvedRequest, warm: AestheticEmbedding, **fields: object) -> ResolvedRequest:
    """A request that is personalized."""
    given = {
        "embedding": "warm",
        "digest": warm.digest,
        "steps": 5,
        "lr": 1e-3,
        "weight": 1.0,
        "blend": "lerp",
    }
    off = {"text": None, "text_angle": 0.0, "text_negative": False}
    asked = ResolvedPersonalization.model_validate(given | off | fields)
    return request.model_copy(update={"personalization": asked})


@pytest.fixture(scope="module")
def plain(models: ModelRegistry, ask: Ask) -> Picture:
    return generate(ask(), Runner(models), SamplerInputs("pocket-m"))


def test_personalization_changes_the_picture(
    models: ModelRegistry, ask: Ask, plain: Picture, warm: AestheticEmbedding, inputs: SamplerInputs
) -> None:
    made = generate(towards(ask(), warm), Runner(models), inputs)
    assert (made.pixels - plain.pixels).abs().mean() > 1e-3


@pytest.mark.parametrize("off", [{"steps": 0}, {"weight": 0.0}])
def test_no_steps_or_no_weight_give_the_same_bits(
    models: ModelRegistry,
    ask: Ask,
    plain: Picture,
    warm: AestheticEmbedding,
    inputs: SamplerInputs,
    off: dict[str, object],
) -> None:
    made = generate(towards(ask(), warm, **off), Runner(models), inputs)
    assert torch.equal(made.pixels, plain.pixels)


def test_only_the_prompt_is_personalized(
    models: ModelRegistry, ask: Ask, warm: AestheticEmbedding, inputs: SamplerInputs
) -> None:
    sampler = sampler_of(towards(ask(negative_prompt="blurry"), warm), models, inputs)
    runner, call = Runner(models), next(sampler)
    texts: list[tuple[type, str]] = []
    while len(texts) < 3:
        if isinstance(call, EncodeText):
            texts.append((EncodeText, call.wording.text))
        elif isinstance(call, Personalize) and call.fitting is None:
            texts.append((Personalize, call.text))
        call = sampler.send(runner.answer(call))
    prompt = "a red apple on a light blue background"
    assert texts == [(EncodeText, prompt), (EncodeText, "blurry"), (Personalize, prompt)]


def test_a_prompt_longer_than_the_context_is_tuned_by_all_of_it(
    models: ModelRegistry, warm: AestheticEmbedding
) -> None:
    def states(text: str) -> torch.Tensor:
        tuning = Tuning(warm.digest, 3, 1e-3)
        clip = models.clip("pocket-s")
        tuned = models.diffusion("pocket").personalizer.personalize(text, warm.direction, tuning, clip)
        assert isinstance(tuned, torch.Tensor)
        return tuned

    start = "a red apple, " * 12
    one, other = states(start + "a green tree"), states(start + "a blue whale")
    assert one.shape == other.shape == (1, 32, 192)
    assert not torch.equal(one, other)
    assert torch.equal(one, states(start + "a green tree"))


def test_a_personalized_job_does_not_affect_its_neighbour_in_the_batch(
    models: ModelRegistry, ask: Ask, plain: Picture, warm: AestheticEmbedding
) -> None:
    outcomes: queue.SimpleQueue[tuple[Work, Outcome]] = queue.SimpleQueue()
    engine = Engine(Runner(models), lambda work, outcome: outcomes.put((work, outcome)))
    engine.admit(Work("personalized", towards(ask(), warm), Inputs(embeddings={warm.digest: warm})))
    engine.admit(Work("plain", ask()))
    thread = threading.Thread(target=engine.serve)
    thread.start()
    made = {work.id: outcome for work, outcome in (outcomes.get(timeout=120) for _ in range(2))}
    engine.close()
    thread.join()
    assert all(isinstance(outcome, Finished) for outcome in made.values()), made
    beside, other = (made[name].pictures[0].pixels for name in ("plain", "personalized"))  # type: ignore[union-attr]
    torch.testing.assert_close(beside, plain.pixels, atol=1e-4, rtol=0)
    assert (other - plain.pixels).abs().mean() > 1e-3


def test_a_model_without_an_image_tower_is_refused(
    models: ModelRegistry, ask: Ask, warm: AestheticEmbedding, inputs: SamplerInputs
) -> None:
    with pytest.raises(NoImageTowerError, match="'pocket' cannot be personalized"):
        generate(towards(ask(), warm), Runner(models), replace(inputs, text_clip=None))


@pytest.fixture
def layer(models: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> nn.Linear:
    """A linear predictor with any weights, in place of the shipped one."""
    scorer = models.clip("pocket-s")
    torch.manual_seed(0)
    layer = nn.Linear(scorer.width, 1)
    head = AestheticHead(((layer.weight.detach(), layer.bias.detach()),), relu=False)
    monkeypatch.setattr(scorer, "head", head)
    return layer


def test_every_picture_is_scored_by_the_head_of_the_aesthetic_scorer(
    models: ModelRegistry, ask: Ask, inputs: SamplerInputs, layer: nn.Linear
) -> None:
    scorer = models.clip("pocket-s")
    made = generate(ask(), Runner(models), inputs)
    resized = F.interpolate(made.pixels[None], (scorer.px, scorer.px), mode="bicubic", antialias=True).clamp(
        0, 1
    )
    unit = scorer.embed(resized)[0].detach()
    assert made.embedding is not None
    torch.testing.assert_close(made.embedding, unit, atol=1e-5, rtol=1e-5)
    assert made.aesthetic_score == pytest.approx(float(layer(unit).detach()), abs=1e-4)


def guided(request: ResolvedRequest, objective: Objective) -> ResolvedRequest:
    """A guided request that pulls towards one thing."""
    assert request.guidance is not None
    guidance = request.guidance.model_copy(update={"objectives": (objective,)})
    return request.model_copy(update={"guidance": guidance})


@pytest.mark.usefixtures("layer")
def test_guidance_raises_the_predictors_score(models: ModelRegistry, ask: Ask, inputs: SamplerInputs) -> None:
    request = guided(
        ask(steps=8, guidance={"scale": 0.5, "cutouts": 4}),
        AestheticObjective(type="aesthetic", clip="pocket-s"),
    )
    worse = AestheticObjective(type="aesthetic", clip="pocket-s", weight=-1)
    scores = [
        generate(each, Runner(models), inputs).aesthetic_score
        for each in (guided(request, worse), ask(steps=8), request)
    ]
    disliked, plain, liked = (score or 0.0 for score in scores)
    assert disliked < plain < liked


def test_guidance_towards_beauty_fails_without_a_predictor(
    models: ModelRegistry, ask: Ask, inputs: SamplerInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.clip("pocket-s"), "head", None)
    request = guided(ask(guidance={}), AestheticObjective(type="aesthetic", clip="pocket-s"))
    with pytest.raises(ModelUnavailableError, match="no aesthetic head for pocket-s"):
        generate(request, Runner(models), inputs)


def test_guidance_comes_nearer_to_an_embedding(
    models: ModelRegistry, ask: Ask, warm: AestheticEmbedding, inputs: SamplerInputs
) -> None:
    plain = ask(steps=8, guidance={"scale": 0.5, "cutouts": 4})
    objective = EmbeddingObjective(type="embedding", embedding="warm", digest=warm.digest, clip="pocket-s")
    near = [
        made.embedding @ warm.direction
        for made in (
            generate(each, Runner(models), inputs) for each in (ask(steps=8), guided(plain, objective))
        )
        if made.embedding is not None
    ]
    assert float(near[1]) > float(near[0]) + 0.02


def test_a_picture_without_a_head_has_no_aesthetic_score(
    models: ModelRegistry, ask: Ask, inputs: SamplerInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.clip("pocket-s"), "head", None)
    assert generate(ask(), Runner(models), inputs).aesthetic_score is None


def test_a_job_of_many_candidates_shows_each_as_it_comes_and_makes_them_all(
    models: ModelRegistry, ask: Ask
) -> None:
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    shown: list[tuple[int, int]] = []

    def show(work: Work, picture: Picture) -> Picture:
        shown.append((picture.index, work.progress.step))
        return picture

    engine = Engine(Runner(models), lambda _work, outcome: outcomes.put(outcome), on_picture=show)
    engine.admit(Work("many", ask(steps=1, select={"candidates": 18, "keep": 2, "scorer": "pocket-eval"})))
    thread = threading.Thread(target=engine.serve)
    thread.start()
    outcome = outcomes.get(timeout=150)
    engine.close()
    thread.join()
    assert isinstance(outcome, Finished)
    assert [picture.index for picture in outcome.pictures] == list(range(18))
    assert sorted(index for index, _ in shown) == list(range(18))
    # The first was there before the last had begun.
    assert shown[0][1] < 18
    scorer = models.clip("pocket-eval")
    target = scorer.embed_text(ask().prompt)
    for picture in outcome.pictures[:2]:
        assert picture.clip_score == pytest.approx(scorer.score(picture.pixels, target), abs=1e-4)
