"""The programs that ``make clients`` runs, of the clients that the tests have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.settings import ApiSettings
from benchmarks.clients.pictures import write_pictures
from benchmarks.clients.roster import CLIENTS, Client, Python, Replay
from benchmarks.clients.running import run
from benchmarks.clients.service import with_aliases
from jobs.queue.queue import JobQueue
from tests.app.api.dialects.conftest import BusyWorker
from tests.app.conftest import MakeKey
from tests.app.played_worker import PlayedWorker

LONG_STEPS = 150  # a job of so many waits until it is canceled
HERE: dict[str, Client] = {
    "openai (Python)": Python("openai"),
    "replicate (Python)": Python("replicate"),
    "webuiapi": Python("webuiapi"),
    "curl": Python("curl"),
    **{name: client for name, client in CLIENTS.items() if isinstance(client, Replay)},
}


@pytest.fixture
def settings(settings: ApiSettings) -> ApiSettings:
    """Settings of an API that asks for keys, and whose model has many names."""
    file = settings.models_file
    file.write_text(with_aliases(file.read_text(), file.parent))
    return settings.model_copy(update={"auth": "keys"})


@pytest.fixture
def working(queue: JobQueue, worker: PlayedWorker) -> Iterator[None]:
    """A worker that makes every picture but the long ones."""

    def settle(job_id: str) -> None:
        steps = queue.get(job_id).generation.steps
        if steps < LONG_STEPS:
            lease = worker.claim(job_id)
            worker.report(lease, step=steps, steps=steps)
            worker.leases.succeed(lease, worker.store(lease))

    with BusyWorker(queue, settle):
        yield


@pytest.mark.parametrize("name", HERE)
def test_every_call_works_or_is_refused_as_documented(
    name: str, url: str, working: None, make_key: MakeKey, tmp_path: Path
) -> None:
    write_pictures(tmp_path)
    outcomes = run(name, HERE[name], url, make_key(), tmp_path)
    assert [outcome for outcome in outcomes if outcome.result == "fails"] == []
    assert sum(outcome.result == "works" for outcome in outcomes) > 1


def test_a_call_that_fails_is_found_and_so_is_a_program_that_ends(
    url: str, make_key: MakeKey, tmp_path: Path
) -> None:
    write_pictures(tmp_path)
    found = run("webuiapi", Python("webuiapi"), "http://127.0.0.1:9", make_key(), tmp_path)
    assert {outcome.result for outcome in found} == {"fails"}
    (tmp_path / "other").mkdir()
    (ended,) = run("none", Python("nothing"), url, "", tmp_path / "other")
    assert (ended.call, ended.result) == ("the program", "fails")
    assert "No module named" in ended.why
