"""Who shares a batch, and who goes first."""

from collections.abc import Generator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.prompts.prompt import plain
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from worker.aesthetics.fitting import Fitting
from worker.calls import MAX_BATCH_CUTOUTS, Call, Denoise, EncodeText, Guide, Personalize, Tuning
from worker.engine.accounts import MAX_LEAD_S
from worker.engine.fairness import FairScheduler, Trajectory
from worker.guidance.cutouts import CutoutSpec, draw_cutouts
from worker.guidance.objectives import ClipTerms, Loss
from worker.latents import LatentState
from worker.models.families.text_encoder import last_states
from worker.rows import Row
from worker.sampling.linear_run import linear_run

TEXT = torch.zeros(1, 2, 3)
RUN = linear_run(SamplerName.DDIM, STABLE_DIFFUSION, 50, ScheduleName.DEFAULT, 0.0).coefficients


def denoise(*, side: int = 8, t: int = 0, paired: bool = True) -> Denoise:
    state = LatentState(RUN, torch.zeros(1, 4, side, side))
    state.call = t
    return Denoise("m", state, (Row(TEXT),) * (1 + paired))


def guide(cutouts: int, *clips: str) -> Guide:
    drawn = draw_cutouts(CutoutSpec(cutouts), (8, 8), 1, torch.Generator().manual_seed(0))
    loss = Loss(tuple(ClipTerms(clip, drawn, ()) for clip in clips or ("c",)))
    return Guide("m", torch.zeros(1, 4, 8, 8), loss, "vae")


def idle() -> Generator[Call, object, None]:
    yield EncodeText("m", plain("x"))


def trajectory(scheduler: FairScheduler, name: str, call: Call, *, weight: float = 1.0) -> Trajectory[str]:
    made: Trajectory[str] = Trajectory(name, scheduler.open(weight), idle())
    made.wait_for(call)
    return made


def names(batch: list[Trajectory[str]]) -> list[str]:
    return [member.owner for member in batch]


def test_calls_share_a_batch_whatever_their_settings_as_long_as_shapes_and_models_agree() -> None:
    assert denoise(t=3).key == denoise(t=999, paired=False).key
    assert guide(3).key == guide(48).key
    assert guide(3).key != guide(3, "c", "d").key
    assert denoise(side=8).key != denoise(side=16).key
    assert EncodeText("m", plain("a")).key == EncodeText("m", plain("another")).key
    assert EncodeText("m", plain("a")).key != EncodeText("n", plain("a")).key


def test_a_batch_holds_all_that_wait_for_alike_calls_up_to_the_limit() -> None:
    scheduler = FairScheduler(max_batch=3)
    waiting = [trajectory(scheduler, name, denoise(side=16 if name == "b" else 8)) for name in "abcde"]
    assert names(scheduler.choose(waiting)) == ["a", "c", "d"]


def test_batches_of_guidance_are_no_larger_than_the_largest_picture_may_be() -> None:
    scheduler = FairScheduler(max_batch=32)
    waiting = [trajectory(scheduler, name, guide(MAX_BATCH_CUTOUTS // 2)) for name in "abc"]
    assert names(scheduler.choose(waiting)) == ["a", "b"]
    assert names(scheduler.choose([trajectory(scheduler, "alone", guide(MAX_BATCH_CUTOUTS + 1))])) == [
        "alone"
    ]


def test_the_time_of_a_batch_is_charged_by_size() -> None:
    scheduler = FairScheduler(max_batch=32)
    paired, single = (
        trajectory(scheduler, "paired", denoise()),
        trajectory(scheduler, "single", denoise(paired=False)),
    )
    scheduler.charge([paired, single], 3.0)
    assert (paired.account.charged_s, single.account.charged_s) == (2.0, 1.0)


def test_who_is_too_far_ahead_does_not_ride_along() -> None:
    scheduler = FairScheduler(max_batch=32)
    one, other = trajectory(scheduler, "one", denoise()), trajectory(scheduler, "other", denoise())
    scheduler.charge([one], MAX_LEAD_S + 0.1)
    assert names(scheduler.choose([one, other])) == ["other"]
    scheduler.charge([other], 0.2)
    assert names(scheduler.choose([one, other])) == ["other", "one"]


jobs = st.tuples(
    st.sampled_from(["small", "large", "guided"]),
    st.integers(1, 5),  # pictures
    st.integers(1, 60),  # cutouts
    st.sampled_from([0.5, 1.0, 2.0]),  # weight
)


@settings(deadline=None)
@given(mix=st.lists(jobs, min_size=2, max_size=6), row_s=st.floats(0.001, 0.2))
def test_of_jobs_that_always_wait_none_gets_ahead_of_another_beyond_the_bound(
    mix: list[tuple[str, int, int, float]], row_s: float
) -> None:
    scheduler = FairScheduler(max_batch=8)
    waiting = []
    for number, (kind, count, cutouts, weight) in enumerate(mix):
        calls: dict[str, Call] = {"small": denoise(), "large": denoise(side=16), "guided": guide(cutouts)}
        account = scheduler.open(weight)
        for _ in range(count):
            waiting.append(Trajectory(str(number), account, idle()))
            waiting[-1].wait_for(calls[kind])
    accounts = list({id(member.account): member.account for member in waiting}.values())
    largest = dict.fromkeys(map(id, accounts), 0.0)  # most that a job was charged for one batch
    for _ in range(60):
        batch = scheduler.choose(waiting)
        before = {id(account): account.virtual_s for account in accounts}
        scheduler.charge(batch, 0.03 + row_s * sum(_rows(member) for member in batch))
        for account in accounts:
            largest[id(account)] = max(largest[id(account)], account.virtual_s - before[id(account)])
        waiting = [member for member in waiting if member not in batch] + batch
        for one in accounts:
            for other in accounts:
                assert one.virtual_s - other.virtual_s <= MAX_LEAD_S + largest[id(one)] + 1e-9


def _rows(member: Trajectory[str]) -> int:
    return member.call.size


@pytest.mark.parametrize("heavy_jobs", [1, 4, 10])
def test_a_light_job_beside_heavy_ones_waits_for_their_number_and_not_for_what_they_do(
    heavy_jobs: int,
) -> None:
    heavy_s, light_s, steps = 0.5, 0.03, 20
    scheduler, clock = FairScheduler(max_batch=1), 0.0
    heavy = [trajectory(scheduler, f"heavy {number}", guide(48)) for number in range(heavy_jobs)]
    for _ in range(50):  # they have been at it for long
        batch = scheduler.choose(heavy)
        scheduler.charge(batch, heavy_s)
        heavy = [member for member in heavy if member not in batch] + batch
    light = trajectory(scheduler, "light", denoise())
    done = 0
    while done < steps:
        (member,) = scheduler.choose([*heavy, light])
        seconds = light_s if member is light else heavy_s
        scheduler.charge([member], seconds)
        clock += seconds
        done += member is light
        if member is not light:
            heavy = [other for other in heavy if other is not member] + [member]
    alone_s = steps * light_s
    assert clock <= (heavy_jobs + 1) * alone_s + heavy_jobs * heavy_s + 1e-9


def test_a_job_of_twice_the_weight_gets_twice_the_time() -> None:
    scheduler = FairScheduler(max_batch=1)
    waiting = [
        trajectory(scheduler, "one", denoise()),
        trajectory(scheduler, "two", denoise(side=16), weight=2.0),
    ]
    for _ in range(300):
        scheduler.charge(scheduler.choose(waiting), 0.1)
    one, two = (member.account.charged_s for member in waiting)
    assert two / one == pytest.approx(2, rel=0.05)


def test_a_newcomer_does_not_make_up_for_the_time_before_it_came() -> None:
    scheduler = FairScheduler(max_batch=1)
    old = trajectory(scheduler, "old", denoise())
    for _ in range(100):
        scheduler.charge(scheduler.choose([old]), 1.0)
    new = trajectory(scheduler, "new", denoise())
    turns = []
    for _ in range(10):
        batch = scheduler.choose([old, new])
        scheduler.charge(batch, 1.0)
        turns += names(batch)
    assert 4 <= turns.count("old") <= 6


def personalize(*, begun: bool = False) -> Personalize:
    encoder = torch.nn.Linear(1, 1)
    fitting = Fitting(
        encoder, torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), steps=1, lr=1.0, read=last_states
    )
    return Personalize("m", "c", "x", torch.zeros(1), Tuning("d", 1, 1.0), fitting if begun else None)


def test_a_personalization_has_its_turns_alone_and_pays_for_them() -> None:
    scheduler = FairScheduler(max_batch=32)
    one, other, plain = (
        trajectory(scheduler, name, call)
        for name, call in (("one", personalize()), ("other", personalize()), ("plain", denoise()))
    )
    turns = []
    for _ in range(4):
        batch = scheduler.choose([one, other, plain])
        turns.append(names(batch))
        if batch == [one]:
            one.wait_for(personalize(begun=True))
        scheduler.charge(batch, 1.0)
    assert turns == [["one"], ["plain"], ["one"], ["plain"]]
    assert (one.account.charged_s, other.account.charged_s, plain.account.charged_s) == (2.0, 0.0, 2.0)


def test_who_waits_for_anothers_personalization_does_not_make_up_for_it_later() -> None:
    scheduler = FairScheduler(max_batch=32)
    one, other = (
        trajectory(scheduler, "one", personalize(begun=True)),
        trajectory(scheduler, "other", personalize()),
    )
    plain = trajectory(scheduler, "plain", denoise())
    for _ in range(40):
        scheduler.charge(scheduler.choose([one, other, plain]), 1.0)
    one.wait_for(denoise(side=16))
    turns = []
    for _ in range(30):
        batch = scheduler.choose([one, other, plain])
        scheduler.charge(batch, 1.0)
        turns += names(batch)
    assert 9 <= turns.count("plain") <= 11
