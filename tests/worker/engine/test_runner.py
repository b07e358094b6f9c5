"""Groups of calls: whose error it is, and what is learned of memory while something else takes some."""

import threading
from mmap import PAGESIZE, mmap
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from jobs.errors import JobFailedError, ModelUnavailableError
from jobs.requests.samplers import SamplerName, ScheduleName
from worker.aesthetics import fitting
from worker.calls import Call, Decode, Denoise, Personalize, Tuning
from worker.engine.runner import Runner
from worker.latents import LatentState
from worker.models.families.denoiser import Denoiser
from worker.models.families.personalizer import Personalizer
from worker.models.footprint import taking_memory
from worker.models.registry import ModelRegistry
from worker.rows import Row
from worker.sampling.linear_run import linear_run
from worker.sampling.prediction import Prediction

MIB = 2**20
CPU = torch.device("cpu")
LIKED = "a red apple on a light blue background"
ODD = "a prompt of another kind"


def personalize(text: str, steps: int = 1) -> Personalize:
    direction = F.normalize(torch.randn(192, generator=torch.Generator().manual_seed(3)), dim=0)
    return Personalize("pocket", "pocket-s", text, direction, Tuning(f"{text} {steps}", steps, 1e-4))


def test_an_error_of_our_own_that_one_call_meets_is_not_the_answer_to_the_others(
    trained: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Personalizer.personalize

    def picky(model: Personalizer, text: str, *rest: Any, **options: Any) -> object:
        if text == ODD:
            raise ModelUnavailableError("the cosine similarity of what both say of the prompt is 0.02")
        return real(model, text, *rest, **options)

    monkeypatch.setattr(Personalizer, "personalize", picky)
    texts = [LIKED, "a blue fish", ODD, "a cat"]
    answers = Runner(trained).run([personalize(text) for text in texts])
    assert [isinstance(answer, ModelUnavailableError) for answer in answers] == [False, False, True, False]
    assert not any(
        isinstance(answer, Exception) for answer, text in zip(answers, texts, strict=True) if text != ODD
    )


def test_a_call_that_breaks_its_batch_fails_alone(trained: ModelRegistry) -> None:
    model = trained.diffusion("pocket")
    text = model.encode_texts([LIKED])
    run = linear_run(SamplerName.DDIM, model.facts.scheduler_config, 5, ScheduleName.DEFAULT, 0.0)
    calls: list[Call] = [
        Denoise(
            "pocket",
            LatentState(run.coefficients, torch.zeros(1, 8, 8, 8)),
            (Row(text), *((Row(text[..., :190]),) if odd else ())),  # of another width
        )
        for odd in (False, True, False)
    ]
    first, odd, last = Runner(trained).run(calls)
    assert isinstance(odd, JobFailedError)
    assert isinstance(first, Prediction)
    assert isinstance(last, Prediction)


def test_a_tuning_of_many_steps_is_divided_and_comes_to_the_same(trained: ModelRegistry) -> None:
    runner, call, iterations = Runner(trained), personalize(LIKED, steps=60), 0
    answer: object = None
    while not isinstance(answer, torch.Tensor):
        assert answer is None or isinstance(answer, fitting.Fitting)
        answer = runner.answer(
            Personalize(call.model, call.text_clip, LIKED, call.direction, call.tuning, answer)
        )
        iterations += 1
    assert iterations > 1
    whole = Personalize(call.model, call.text_clip, LIKED, call.direction, Tuning("again", 60, 1e-4))
    model = trained.diffusion("pocket")
    at_once = model.personalizer.personalize(
        whole.text, whole.direction, whole.tuning, trained.clip("pocket-s")
    )
    assert isinstance(at_once, torch.Tensor)
    assert torch.equal(answer, at_once)


def test_an_embedding_that_is_not_finite_fails_and_says_after_what(trained: ModelRegistry) -> None:
    call = personalize(LIKED)
    broken = Personalize(
        call.model,
        call.text_clip,
        call.text,
        torch.full_like(call.direction, torch.nan),
        Tuning("nan", 3, 1e-4),
    )
    with pytest.raises(JobFailedError, match="personalized prompt is not finite after 0 steps"):
        Runner(trained).answer(broken)


def touch(mebibytes: int) -> None:
    """Take fresh memory and give it back at once."""
    with mmap(-1, mebibytes * MIB) as block:
        for page in range(0, len(block), PAGESIZE):
            block[page] = 1


def test_a_model_that_is_loaded_while_a_batch_is_measured_makes_no_batch_smaller(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader takes a gigabyte while the first two sizes of a batch are measured; two gigabytes are free."""
    runner, sizes = Runner(models), []
    real = Denoiser.render

    def load() -> None:
        with taking_memory(CPU):
            touch(1024)

    def render(model: Denoiser, latents: torch.Tensor) -> torch.Tensor:
        sizes.append(len(latents))
        if len(sizes) <= 2:
            loader = threading.Thread(target=load)
            loader.start()
            loader.join()
        return real(model, latents)

    monkeypatch.setattr(Denoiser, "render", render)
    monkeypatch.setattr(models.device, "batch_bytes", 2048 * MIB)
    group: list[Call] = [Decode("pocket", torch.zeros(1, 8, 8, 8)) for _ in range(16)]
    for _ in range(4):
        assert len(Runner.run(runner, group)) == len(group)
    assert sizes[-1] == len(group)
