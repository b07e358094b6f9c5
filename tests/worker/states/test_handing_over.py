"""Jobs that one engine puts down and another takes up, in batches with others."""

from collections.abc import Callable

import pytest
import torch

from jobs.requests.request import ResolvedRequest
from tests.worker.running import TOLERANCE, Running, pictures
from worker.engine.work import Finished, HandedOver, Outcome, Stopped, Work
from worker.models.registry import ModelRegistry
from worker.states.files import dump, file_name, read
from worker.states.state import JobState, MadePicture

Ask = Callable[..., ResolvedRequest]
GUIDED = {"cutouts": 2, "scale": 1.0, "start": 0.0, "end": 1.0, "recurrences": 2}


@pytest.fixture
def asked(ask: Ask) -> dict[str, ResolvedRequest]:
    """Jobs of several pictures, of two passes, with and without guidance."""
    return {
        "two": ask(steps=6, num_images=2, sampler="dpmpp_3m_sde"),
        "guided": ask(steps=5, seed=3, guidance=GUIDED),
        "long": ask(steps=12, seed=4, sampler="lms"),
        "hires": ask(steps=3, seed=5, hires={"scale": 1.5, "steps": 3}),
    }


@pytest.fixture
def one_by_one(tiny: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one call, since a kernel may round otherwise for another batch size."""
    monkeypatch.setattr(tiny.device, "max_batch", 1)


def interrupted(
    models: ModelRegistry, works: list[Work], after: int, of: int = 0
) -> dict[str, tuple[Work, Outcome]]:
    """What comes out of an engine that is told to hand over when one of its jobs has done some steps."""
    running, real = Running(models), works[of].note_step

    def note_step() -> None:
        real()
        if works[of].progress.step == after:
            running.engine.hand_over()

    works[of].note_step = note_step  # type: ignore[method-assign]
    for work in works:
        running.engine.admit(work)
    outcomes = running.wait_for(*(work.id for work in works))
    running.stop()
    return {work.id: (work, outcome) for work, outcome in zip(works, outcomes, strict=True)}


def taken_up(work: Work, outcome: HandedOver) -> Work:
    """A job that was handed over, as another worker begins it."""
    request = work.request
    assert isinstance(request, ResolvedRequest)
    made = tuple(
        MadePicture(index=each.index, seed=each.seed, clip_score=each.clip_score) for each in outcome.pictures
    )
    data = dump(JobState(fit="", models=outcome.models, pictures=made, unfinished=outcome.states))
    again = Work(work.id, request, finished=outcome.pictures)
    again.resumed = read(data, file_name(data))
    again.resume(request.steps_run * request.num_images, again.resumed.steps(request.steps_run))
    return again


def assert_equal(made: list[torch.Tensor], whole: list[torch.Tensor]) -> None:
    assert len(made) == len(whole)
    assert all(map(torch.equal, made, whole))


def alone(models: ModelRegistry, asked: dict[str, ResolvedRequest]) -> dict[str, list[torch.Tensor]]:
    running = Running(models)
    for name, request in asked.items():
        running.engine.admit(Work(name, request))
    made = {name: pictures(outcome) for name, outcome in zip(asked, running.wait_for(*asked), strict=True)}
    running.stop()
    return made


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("after", [1, 5, 9])
def test_jobs_go_on_in_another_engine_to_the_same_bits_and_no_step_is_done_twice(
    tiny: ModelRegistry, asked: dict[str, ResolvedRequest], after: int
) -> None:
    whole = alone(tiny, asked)
    left = interrupted(tiny, [Work(name, request) for name, request in asked.items()], after)
    works = [
        taken_up(work, outcome) if isinstance(outcome, HandedOver) else Work(name, asked[name])
        for name, (work, outcome) in left.items()
        if not isinstance(outcome, Finished)
    ]
    assert any(work.first_step for work in works)
    running = Running(tiny)
    for work in works:
        running.engine.admit(work)
    for work, outcome in zip(works, running.wait_for(*(work.id for work in works)), strict=True):
        assert_equal(pictures(outcome), whole[work.id])
        done_before = left[work.id][0].progress.step
        assert work.first_step == done_before
        assert work.progress.step == work.progress.steps
    running.stop()


def test_rows_that_go_on_share_batches_with_others(
    tiny: ModelRegistry, asked: dict[str, ResolvedRequest]
) -> None:
    whole = alone(tiny, asked)
    left = interrupted(tiny, [Work("long", asked["long"]), Work("two", asked["two"])], 4)
    work, outcome = left["long"]
    assert isinstance(outcome, HandedOver)
    running = Running(tiny)
    for each in (Work("two", asked["two"]), taken_up(work, outcome), Work("guided", asked["guided"])):
        running.engine.admit(each)
    for name, made in zip(("two", "long", "guided"), running.wait_for("two", "long", "guided"), strict=True):
        for one, other in zip(pictures(made), whole[name], strict=True):
            assert torch.allclose(one, other, atol=TOLERANCE)
    running.stop()


@pytest.mark.usefixtures("one_by_one")
def test_a_job_may_be_handed_over_after_each_of_its_steps(tiny: ModelRegistry, ask: Ask) -> None:
    request = ask(steps=4, num_images=2, sampler="unipc", guidance=GUIDED)
    whole = alone(tiny, {"job": request})["job"]
    work, hands = Work("job", request), 0
    while True:
        _, outcome = interrupted(tiny, [work], work.first_step + 1)["job"]
        if isinstance(outcome, Finished):
            break
        assert isinstance(outcome, HandedOver)
        work, hands = taken_up(work, outcome), hands + 1
    assert hands > 3
    assert work.progress.step == work.progress.steps == 8
    made = {picture.index: picture.pixels for picture in outcome.pictures}
    assert all(torch.equal(made[index], whole[index]) for index in made)


def test_a_job_whose_pictures_are_all_made_ends_without_a_step(tiny: ModelRegistry, ask: Ask) -> None:
    request = ask(steps=2)
    running = Running(tiny)
    running.engine.admit(Work("job", request))
    (done,) = running.wait_for("job")
    running.stop()
    assert isinstance(done, Finished)
    work = taken_up(Work("job", request), HandedOver(done.pictures))
    running = Running(tiny)
    running.engine.admit(work)
    (again,) = running.wait_for("job")
    running.stop()
    assert isinstance(again, Finished)
    assert again.pictures == done.pictures
    assert not work.phases


def test_a_state_of_other_weights_is_dropped_and_the_job_starts_afresh(tiny: ModelRegistry, ask: Ask) -> None:
    request = ask(steps=4)
    whole = alone(tiny, {"job": request})["job"]
    work, outcome = interrupted(tiny, [Work("job", request)], 2)["job"]
    assert isinstance(outcome, HandedOver)
    again, told = taken_up(work, HandedOver((), outcome.states, "of other weights")), list[str]()
    again.on_anew = lambda: told.append("anew")
    running = Running(tiny)
    running.engine.admit(again)
    (made,) = running.wait_for("job")
    running.stop()
    assert told == ["anew"]
    assert again.phases["denoise"].calls == 4
    assert_equal(pictures(made), whole)


def test_what_has_no_state_or_has_done_nothing_comes_out_as_it_was(tiny: ModelRegistry, ask: Ask) -> None:
    resampled = ask(
        sampler="euler_ancestral", steps=6, select={"candidates": 2, "keep": 2, "resample": {"at": [0.5]}}
    )
    ((_, outcome),) = interrupted(tiny, [Work("job", resampled)], 1).values()
    assert outcome == Stopped()
    running = Running(tiny)
    running.engine.hand_over()
    running.engine.admit(Work("late", ask()))
    assert running.wait_for("late") == [Stopped()]
    running.stop()
