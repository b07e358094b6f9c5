"""Several jobs in one loop."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from jobs.catalog import Catalog, load_catalog
from jobs.request import ResolvedRequest
from tests.worker.conftest import ROOT
from worker.engine import Engine, Failed, Finished, Outcome, Stopped, Work
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.runner import Runner
from worker.settings import WorkerSettings

Ask = Callable[..., ResolvedRequest]


class Running:
    """An engine on a thread of its own, and what came out of it."""

    def __init__(self, models: ModelRegistry) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._left = threading.Condition()
        self.engine = Engine(Runner(models), models.catalog, self._note)
        self._thread = threading.Thread(target=self.engine.serve, daemon=True)
        self._thread.start()

    def _note(self, work: Work, outcome: Outcome) -> None:
        with self._left:
            assert work.id not in self.outcomes
            self.outcomes[work.id] = outcome
            self._left.notify_all()

    def wait_for(self, *ids: str) -> list[Outcome]:
        with self._left:
            assert self._left.wait_for(lambda: all(job in self.outcomes for job in ids), timeout=60)
        return [self.outcomes[job] for job in ids]

    def stop(self) -> None:
        self.engine.close()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()


@pytest.fixture
def running(models: ModelRegistry) -> Iterator[Running]:
    engine = Running(models)
    yield engine
    engine.stop()


def pictures(outcome: Outcome) -> list[torch.Tensor]:
    assert isinstance(outcome, Finished)
    return [picture.pixels for picture in outcome.pictures]


def test_jobs_that_run_together_give_the_pictures_they_give_alone(running: Running, ask: Ask) -> None:
    mix = {
        "plain": ask(seed=1),
        "guided": ask(seed=2, steps=3, guidance={"cutouts": 4}),
        "other": ask(seed=3, steps=6, sampler="euler_ancestral", cfg_scale=1),
        "several": ask(seed=4, images=2, width=96),
    }
    alone = {}
    for name, request in mix.items():
        running.engine.admit(Work(f"{name} alone", request))
        (outcome,) = running.wait_for(f"{name} alone")
        alone[name] = pictures(outcome)
    for name, request in mix.items():
        running.engine.admit(Work(name, request))
    for name, outcome in zip(mix, running.wait_for(*mix), strict=True):
        for together, solo in zip(pictures(outcome), alone[name], strict=True):
            assert torch.equal(together, solo)


def test_progress_counts_the_steps_of_all_pictures(running: Running, ask: Ask) -> None:
    work = Work("job", ask(steps=3, images=2))
    running.engine.admit(work)
    running.wait_for("job")
    assert (work.progress.step, work.progress.steps, work.progress.fraction) == (6, 6, 1.0)
    assert work.progress.eta_s == 0


def test_pictures_come_in_the_order_of_their_numbers(running: Running, ask: Ask) -> None:
    running.engine.admit(Work("job", ask(images=3, seed=10)))
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
    long, neighbour = Work("long", ask(steps=250, images=4)), Work("neighbour", ask(steps=20))
    running.engine.admit(long)
    running.engine.admit(neighbour)
    long.stop.set()
    stopped, finished = running.wait_for("long", "neighbour")
    assert isinstance(stopped, Stopped)
    assert isinstance(finished, Finished)
    assert long.progress.step < 10


def test_a_job_over_its_time_fails_and_says_so(running: Running, ask: Ask) -> None:
    running.engine.admit(Work("slow", ask(steps=250, timeout_s=0.2)))
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
