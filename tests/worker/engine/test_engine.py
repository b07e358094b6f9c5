"""Several jobs in one loop."""

import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.catalog.models import ClipCard
from jobs.errors import DeviceLostError
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from tests.worker.conftest import ROOT
from tests.worker.running import Running
from worker.aesthetics.embeddings import AestheticEmbedding
from worker.engine.engine import Engine
from worker.engine.plans import plan
from worker.engine.runner import Runner
from worker.engine.work import Failed, Finished, Stopped, Work
from worker.events import Yield
from worker.models import loader
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.loading.clip import load_clip
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.settings import WorkerSettings

Ask = Callable[..., ResolvedRequest]


@pytest.fixture
def running(models: ModelRegistry) -> Iterator[Running]:
    engine = Running(models)
    yield engine
    engine.stop()


@pytest.fixture
def tuning(trained: ModelRegistry) -> Iterator[Running]:
    """With a CLIP that embeddings are of."""
    engine = Running(trained)
    yield engine
    engine.stop()


def test_progress_counts_the_steps_of_all_pictures(running: Running, ask: Ask) -> None:
    work = Work("job", ask(steps=3, num_images=2))
    running.engine.admit(work)
    running.wait_for("job")
    assert (work.progress.step, work.progress.steps, work.progress.fraction) == (6, 6, 1.0)
    assert work.progress.eta_s == 0


def test_pictures_come_in_the_order_of_their_numbers(running: Running, ask: Ask) -> None:
    running.engine.admit(Work("job", ask(num_images=3, seed=10)))
    (outcome,) = running.wait_for("job")
    assert isinstance(outcome, Finished)
    assert [picture.seed for picture in outcome.pictures] == [10, 11, 12]


def test_a_short_job_overtakes_a_long_one(running: Running, ask: Ask) -> None:
    long = Work("long", ask(steps=250))
    running.engine.admit(long)
    running.engine.admit(Work("short", ask(steps=2)))
    running.wait_for("short")
    assert "long" not in running.outcomes
    long.stop.set()
    running.wait_for("long")


def test_a_job_that_is_told_to_stop_leaves_at_once_and_alone(running: Running, ask: Ask) -> None:
    long, neighbour = Work("long", ask(steps=250, num_images=4)), Work("neighbour", ask(steps=20))
    running.engine.admit(long)
    running.engine.admit(neighbour)
    long.stop.set()
    step = long.progress.step
    stopped, finished = running.wait_for("long", "neighbour")
    assert isinstance(stopped, Stopped)
    assert isinstance(finished, Finished)
    assert long.progress.step - step <= 2 * 4  # of the batch that ran, and of the one after it


def test_a_job_over_its_time_fails_and_says_so(running: Running, ask: Ask) -> None:
    running.engine.admit(Work("slow", ask(steps=250, num_images=16, timeout_s=0.2)))
    (outcome,) = running.wait_for("slow")
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "deadline_exceeded"
    assert "0.2 s" in outcome.error.message


def test_closing_the_engine_stops_what_still_runs(models: ModelRegistry, ask: Ask) -> None:
    running = Running(models)
    running.engine.admit(Work("long", ask(steps=250)))
    running.stop()
    assert "long" not in running.outcomes or isinstance(running.outcomes["long"], Stopped)


def test_a_model_whose_files_are_gone_fails_its_job_and_no_other(tmp_path: Path, ask: Ask) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    text = (ROOT / "models.toml").read_text()
    block = (
        text.split("\n\n")[1]
        .replace("models.pocket", "models.broken")
        .replace("models/pocket", "models/broken")
    )
    (tmp_path / "models.toml").write_text(f"{text}\n{block}\n")
    (tmp_path / "models" / "broken").mkdir()
    catalog: Catalog = load_catalog(tmp_path / "models.toml")
    running = Running(ModelRegistry(catalog, Device(WorkerSettings(device="cpu"))))
    running.engine.admit(Work("broken", ask().model_copy(update={"model": "broken"})))
    running.engine.admit(Work("sound", ask()))
    broken, sound = running.wait_for("broken", "sound")
    running.stop()
    assert isinstance(broken, Failed)
    assert broken.error.type == "model_unavailable"
    assert isinstance(sound, Finished)


def test_a_job_of_a_model_that_has_left_the_catalog_fails_and_names_it(ask: Ask, tmp_path: Path) -> None:
    file, text = tmp_path / "models.toml", (ROOT / "models.toml").read_text()
    file.write_text(text)
    catalog = CatalogFile(file)
    running = Running(ModelRegistry(catalog, Device(WorkerSettings(device="cpu"))))
    request = ask().model_copy(update={"model": "pocket-inpaint"})
    begin, end = text.index("[models.pocket-inpaint]"), text.index("[clips.pocket-m]")
    file.write_text((text[:begin] + text[end:]).replace(', "pocket-inpaint"', ""))
    running.engine.admit(Work("job", request))
    (failed,) = running.wait_for("job")
    running.stop()
    assert catalog.problem is None
    assert isinstance(failed, Failed)
    assert (failed.error.type, failed.error.message) == (
        "unknown_model",
        "'pocket-inpaint' is not in the catalog; it holds: pocket",
    )


def test_other_jobs_go_on_while_a_model_is_loaded(
    pocket_catalog: Catalog, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(card: ClipCard, *args: object) -> ClipModel:
        assert card.id != "pocket-eval" or go_on.wait(60)
        return load_clip(card, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "load_clip", slow)
    running = Running(ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu"))))
    running.engine.admit(Work("first", ask(steps=1)))
    running.wait_for("first")
    running.engine.admit(Work("waits", ask(steps=2, guidance={"clip": "pocket-eval", "cutouts": 1})))
    running.engine.admit(Work("goes on", ask()))
    (done,) = running.wait_for("goes on")
    assert isinstance(done, Finished)
    assert "waits" not in running.outcomes
    go_on.set()
    assert isinstance(running.wait_for("waits")[0], Finished)
    running.stop()


def test_a_job_whose_model_is_still_being_loaded_can_be_stopped(
    pocket_catalog: Catalog, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(card: ClipCard, *args: object) -> ClipModel:
        assert go_on.wait(60)
        return load_clip(card, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "load_clip", slow)
    running = Running(ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu"))))
    work = Work("job", ask())
    running.engine.admit(work)
    work.stop.set()
    assert isinstance(running.wait_for("job")[0], Stopped)
    go_on.set()
    running.stop()


def test_others_can_see_that_the_engine_works_and_how_much(running: Running, ask: Ask) -> None:
    started = time.monotonic()
    running.engine.admit(Work("job", ask()))
    running.wait_for("job")
    assert 0 < running.engine.busy_s < time.monotonic() - started
    assert running.engine.calling_since is None


def test_a_call_that_hangs_can_be_seen_from_outside(
    running: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, go_on = threading.Event(), threading.Event()
    real = Denoiser.predict

    def hang(*args: object) -> object:
        hanging.set()
        assert go_on.wait(60)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Denoiser, "predict", hang)
    running.engine.admit(Work("job", ask(steps=1)))
    assert hanging.wait(60)
    since = running.engine.calling_since
    assert since is not None
    assert since < time.monotonic()
    go_on.set()
    running.wait_for("job")


def test_when_the_device_is_lost_the_loop_ends_and_no_job_is_settled(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*args: object) -> object:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Denoiser, "predict", lost)
    outcomes: list[object] = []
    engine = Engine(Runner(models), lambda work, outcome: outcomes.append(outcome))
    engine.admit(Work("job", ask()))
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        engine.serve()
    assert outcomes == []


def personalized(request: ResolvedRequest, name: str, steps: int) -> tuple[ResolvedRequest, Inputs]:
    """A request with aesthetic gradients towards an embedding of its own, and its inputs."""
    rng = torch.Generator().manual_seed(sum(map(ord, name)))
    embedding = AestheticEmbedding(F.normalize(torch.randn(192, generator=rng), dim=0), "pocket-s", {})
    asked = ResolvedPersonalization(
        embedding=name,
        digest=embedding.digest,
        steps=steps,
        lr=1e-4,
        weight=0.5,
        blend="lerp",
        text=None,
        text_angle=0.0,
        text_negative=False,
    )
    return request.model_copy(update={"personalization": asked}), Inputs(
        embeddings={embedding.digest: embedding}
    )


def test_others_go_on_between_the_steps_of_a_personalization(tuning: Running, ask: Ask) -> None:
    works = [Work(name, *personalized(ask(steps=1), name, 50)) for name in ("a", "b", "c")]
    for work in works:
        tuning.engine.admit(work)
    tuning.engine.admit(Work("plain", ask(steps=2)))
    tuning.wait_for("plain")
    assert not {"a", "b", "c"} & tuning.outcomes.keys()
    assert all(isinstance(each, Finished) for each in tuning.wait_for("a", "b", "c"))


def test_a_personalization_hears_of_a_stop_and_of_its_deadline(
    tuning: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.batches.FITTING_SLICE_S", 0.0)
    stopped = Work("stopped", *personalized(ask(), "stopped", 100_000))
    late = Work("late", *personalized(ask(timeout_s=0.5), "late", 100_000))
    tuning.engine.admit(stopped)
    tuning.engine.admit(late)
    assert isinstance(tuning.wait_for("late")[0], Failed)
    stopped.stop.set()
    assert isinstance(tuning.wait_for("stopped")[0], Stopped)


def slow_to_begin(pictures: int, begun: list[int], wait: Callable[[], object]) -> Callable[..., object]:
    """A plan whose samplers wait before their first call."""
    real = plan

    def planned(*args: object) -> object:
        made = real(*args)  # type: ignore[arg-type]

        def slow(sampler: Generator[Yield, object, object], index: int) -> Generator[Yield, object, object]:
            begun.append(index)
            wait()
            return (yield from sampler)

        if made.results < pictures:
            return made
        return replace(
            made,
            samplers=lambda facts, state: (
                (slow(sampler, index), was)
                for index, (sampler, was) in enumerate(made.samplers(facts, state))
            ),
        )

    return planned


def test_a_stop_is_heard_before_every_sampler_that_begins(
    running: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr("worker.engine.engine.plan", slow_to_begin(16, begun, partial(time.sleep, 0.3)))
    work = Work("slow", ask(num_images=16))
    running.engine.admit(work)
    while not begun:
        time.sleep(0.01)
    work.stop.set()
    assert isinstance(running.wait_for("slow")[0], Stopped)
    assert len(begun) == 1


def test_what_a_sampler_does_between_calls_is_seen_and_costs_its_job(
    running: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    go_on = threading.Semaphore(0)
    monkeypatch.setattr("worker.engine.engine.plan", slow_to_begin(4, begun, go_on.acquire))
    running.engine.admit(Work("slow", ask(num_images=4)))
    while not begun:
        time.sleep(0.01)
    time.sleep(0.2)
    since = running.engine.calling_since
    assert since is not None
    (job,) = running.engine._jobs
    go_on.release()
    while len(begun) < 2:
        time.sleep(0.01)
    assert job.account is not None
    assert job.account.charged_s >= 0.2
    assert running.engine.calling_since != since
    go_on.release(4)
    running.wait_for("slow")


def test_others_have_their_turns_between_the_pictures_that_a_job_begins(
    running: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr("worker.engine.engine.plan", slow_to_begin(16, begun, partial(time.sleep, 0.15)))
    running.engine.admit(Work("slow", ask(num_images=16, steps=1)))
    while not begun:
        time.sleep(0.01)
    running.engine.admit(Work("quick", ask(steps=2)))
    running.wait_for("quick")
    assert len(begun) < 16
    running.wait_for("slow")


def test_a_job_that_cannot_be_planned_fails_alone(
    running: Running, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = plan

    def planned(request: ResolvedRequest, *args: object) -> object:
        if request.seed == 13:
            raise MemoryError
        return real(request, *args)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.engine.engine.plan", planned)
    running.engine.admit(Work("unlucky", ask(seed=13)))
    running.engine.admit(Work("other", ask()))
    unlucky, other = running.wait_for("unlucky", "other")
    assert isinstance(unlucky, Failed)
    assert unlucky.error.message == "internal error: MemoryError"
    assert isinstance(other, Finished)


def test_no_more_pictures_are_begun_than_their_owner_has_room_for(models: ModelRegistry, ask: Ask) -> None:
    made: list[int] = []
    room, left = threading.Semaphore(3), threading.Event()

    def may_generate(work: Work) -> bool:
        return room.acquire(blocking=False)

    def note(work: Work, picture: Picture) -> Picture:
        made.append(picture.index)
        return picture

    engine = Engine(
        Runner(models),
        lambda work, outcome: left.set(),
        on_picture=note,
        may_generate=may_generate,
    )
    thread = threading.Thread(target=engine.serve)
    thread.start()
    engine.admit(Work("job", ask(steps=1, num_images=6)))
    while len(made) < 3:
        time.sleep(0.01)
    time.sleep(0.2)
    assert made == [0, 1, 2]
    room.release(10)
    engine.wake()
    assert left.wait(60)
    engine.close()
    thread.join(30)
    assert sorted(made) == [0, 1, 2, 3, 4, 5]
