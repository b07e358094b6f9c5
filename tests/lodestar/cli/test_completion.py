"""Values that a shell completes."""

from pathlib import Path

import pytest

from jobs.queue.queue import JobQueue
from tests.app.conftest import Run
from tests.lodestar.cli.conftest import Completed


def test_names_of_the_api_are_completed_without_a_server(
    completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LODESTAR_URL", "http://127.0.0.1:1")
    assert completed("generate", "fox", "--preset", "la") == ["laion"]
    assert completed("generate", "--sampler", "eul")[0].startswith("euler")
    assert completed("generate", "--sampler", "ddim", "--schedule", "d") == ["default"]
    assert "karras" in completed("generate", "--schedule", "k")
    assert completed("generate", "--model", "p") == []
    assert completed("show", "0") == []


def test_models_and_jobs_are_those_of_the_service(
    run: Run, url: str, queue: JobQueue, completed: Completed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lodestar.cli.completion.PATIENCE_S", 10)  # of a slow machine
    assert run("generate", "a fox", "--wait", "0", "--quiet") == 6
    (job,) = queue.list().data
    assert completed("generate", "--url", url, "--model", "po") == ["pocket"]
    assert completed("generate", "--url", url, "--clip", "pocket-") == ["pocket-m", "pocket-s"]
    assert completed("show", job.id[:4]) == [job.id]
    assert completed("cancel", job.id[:4]) == [job.id]
    assert completed("retry", job.id[:4]) == []


def test_entries_of_the_catalog_are_completed_from_its_file(
    completed: Completed, monkeypatch: pytest.MonkeyPatch, models_file: Path
) -> None:
    monkeypatch.setenv("LODESTAR_MODELS_FILE", str(models_file))
    assert completed("models", "re") == ["remove"]
    assert completed("models", "remove", "b") == ["big"]
    assert completed("models", "check", "big", "pocket") == ["pocket", "pocket-m", "pocket-s"]
    assert completed("models", "add", "o/m", "--clip", "pocket-s") == ["pocket-s"]
    assert completed("models", "remove", "--models", "none.toml", "p") == []
