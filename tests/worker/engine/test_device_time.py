"""The engine is one batch ahead of a device that computes beside it, and no further."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

import worker.engine.plans
from jobs.errors import DeviceLostError
from jobs.requests.request import ResolvedRequest
from tests.waiting import until
from tests.worker.engine.test_batching import altered
from tests.worker.late_device import LateDevice
from tests.worker.running import TOLERANCE, Running, pictures
from worker.engine.accounts import MAX_LEAD_S
from worker.engine.device_time import AHEAD, Launched, WallSpan, spans_of
from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Failed, Stopped, Work
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs

Ask = Callable[..., ResolvedRequest]
SETTLED_S = 0.1  # for the engine to go on, if it did


class Late(Running):
    """An engine at work for a late device."""

    def __init__(self, models: ModelRegistry, seconds: float = 0.001) -> None:
        super().__init__(models)
        self.device = LateDevice(seconds)
        self.engine._launched = Launched(self.device.begin, self.engine._charge)

    def was_given(self, batches: int) -> bool:
        return self.device.given == batches

    def goes_on_after(self, batches: int) -> bool:
        return self.device.done == batches < self.device.given

    def begin(self, request: ResolvedRequest, job_id: str = "job") -> Work:
        work = Work(job_id, request)
        self.engine.admit(work)
        return work


@pytest.fixture
def late(models: ModelRegistry) -> Iterator[Late]:
    running = Late(models)
    yield running
    running.device.let_all()
    running.stop()


def test_one_batch_is_launched_ahead_and_no_further(late: Late, ask: Ask) -> None:
    late.begin(ask(steps=20))
    for done in range(5):
        until(partial(late.was_given, done + 1 + AHEAD))
        time.sleep(SETTLED_S / 5)
        assert late.device.given - late.device.done == 1 + AHEAD
        late.device.let()


def test_a_batch_is_charged_the_devices_seconds_once_the_device_has_done_it(
    models: ModelRegistry, ask: Ask
) -> None:
    late = Late(models, seconds=100.0)
    late.begin(ask(steps=6))
    until(lambda: late.device.given == 1 + AHEAD)
    (job,) = late.engine._jobs
    assert job.account is not None
    assert job.account.charged_s < 50
    late.device.let(3)
    until(lambda: late.device.given == 4 + AHEAD)
    assert 300 <= job.account.charged_s < 350
    assert late.engine.busy_s == 300
    late.device.let_all()
    late.wait_for("job")
    until(lambda: late.engine.busy_s == 100.0 * late.device.given)
    late.stop()


def test_a_stop_takes_effect_before_another_batch_is_launched(late: Late, ask: Ask) -> None:
    work = late.begin(ask(steps=50))
    until(lambda: late.device.given == 1 + AHEAD)
    work.stop.set()
    late.device.let()
    assert isinstance(late.wait_for("job")[0], Stopped)
    assert late.device.given == 1 + AHEAD


def test_a_picture_is_the_same_for_a_late_device(late: Late, models: ModelRegistry, ask: Ask) -> None:
    late.device.let_all()
    kinds: tuple[dict[str, object], ...] = (
        {"sampler": "dpmpp_2m_sde"},
        {"guidance": {"cutouts": 2}},
        {"num_images": 2},
    )
    for number, fields in enumerate(kinds):
        request = ask(steps=3, **fields)
        late.begin(request, str(number))
        (outcome,) = late.wait_for(str(number))
        alone = generate(request, Runner(models), SamplerInputs("pocket-m")).pixels
        assert (pictures(outcome)[0] - alone).abs().max() < TOLERANCE


def test_a_failure_is_found_one_step_late_and_no_other_job_notices(
    late: Late, models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.engine.plans, "sample", altered(lambda latents: latents * torch.nan))
    late.device.let_all()
    broken = late.begin(ask(seed=666, steps=50), "broken")
    late.begin(ask(steps=6), "sound")
    outcome, sound = late.wait_for("broken", "sound")
    assert isinstance(outcome, Failed)
    assert "not finite" in outcome.error.message
    assert broken.progress.step <= 1 + AHEAD
    monkeypatch.undo()
    alone = generate(ask(steps=6), Runner(models), SamplerInputs("pocket-m")).pixels
    assert (pictures(sound)[0] - alone).abs().max() < TOLERANCE


def test_a_job_that_leaves_is_charged_for_what_it_had_launched(late: Late, ask: Ask) -> None:
    work = late.begin(ask(steps=50))
    until(lambda: late.device.given == 1 + AHEAD)
    (job,) = late.engine._jobs
    work.stop.set()
    late.device.let_all()
    late.wait_for("job")
    until(lambda: late.engine.busy_s >= late.device.given * 0.001)
    assert job.account is not None
    assert job.account.charged_s >= (1 + AHEAD) * 0.001


def test_no_job_gets_further_ahead_than_the_bound_and_one_batch_more(models: ModelRegistry, ask: Ask) -> None:
    seconds = 0.8
    late = Late(models, seconds)
    works = [
        late.begin(ask(steps=100, width=width, height=48), str(width))
        for width in (48, 64, 80)  # so that none share a batch
    ]
    until(lambda: len(late.engine._jobs) == 3 and all(job.begun for job in late.engine._jobs))
    jobs, leads = list(late.engine._jobs), []
    for done in range(1, 25):
        late.device.let()  # one for each batch that waits: with more, the device would not wait for this loop
        until(partial(late.goes_on_after, done))
        charged = [job.account.charged_s for job in jobs if job.account is not None]
        leads.append(max(charged) - min(charged))
    own_s = sum(charged) - late.engine.busy_s  # of the samplers themselves
    assert max(leads) <= MAX_LEAD_S + (1 + AHEAD) * seconds + own_s
    assert max(leads) > 0
    for work in works:
        work.stop.set()
    late.device.let_all()
    late.wait_for(*(work.id for work in works))
    late.stop()


def test_a_wait_for_the_device_can_be_seen_from_outside(late: Late, ask: Ask) -> None:
    late.begin(ask(steps=20))
    until(lambda: late.device.given == 1 + AHEAD)
    time.sleep(SETTLED_S)
    since = late.engine.calling_since
    assert since is not None
    assert since < time.monotonic() - SETTLED_S / 2


def test_a_device_that_is_lost_in_a_batch_ends_the_loop_and_settles_no_job(
    models: ModelRegistry, ask: Ask
) -> None:
    device, outcomes = LateDevice(), list[object]()
    engine = Engine(Runner(models), lambda _, outcome: outcomes.append(outcome))
    engine._launched = Launched(device.begin, engine._charge)
    engine.admit(Work("job", ask(steps=20)))
    device.lose()
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        engine.serve()
    assert outcomes == []


def test_a_cpu_has_done_a_batch_when_it_is_launched() -> None:
    charged: list[tuple[str, float]] = []
    launched = Launched[str](spans_of(torch.device("cpu")), lambda *batch: charged.append(batch))

    def run() -> str:
        time.sleep(0.02)
        return "answer"

    assert launched.launch("one", run) == "answer"
    launched.settle()
    ((batch, seconds),) = charged
    assert batch == "one"
    assert 0.02 <= seconds < 1
    assert WallSpan().is_over
