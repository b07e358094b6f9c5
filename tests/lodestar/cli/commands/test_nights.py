"""The commands about nights, against an API behind real HTTP and a worker that this process plays."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.api.operation import sweeper
from app.api.settings import ApiSettings
from lodestar import Client
from lodestar.cli.night_line import duration, line_of
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker
from tests.waiting import until


@pytest.fixture
def settings(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> ApiSettings:
    """Settings of an API whose queue has room for a night, and which tends it ten times a second."""
    monkeypatch.setattr(sweeper, "TEND_EVERY_S", 0.1)
    return settings.model_copy(update={"max_queued": 40})


@contextmanager
def drawing(worker: PlayedWorker) -> Iterator[None]:
    """Meanwhile, in a thread, draw whatever waits, each picture better than the one before."""

    def draw() -> None:
        score = 0.0
        while not ended.wait(0.02):
            if worker.draw(score) is not None:
                score += (1 - score) / 100  # a similarity stays below 1

    ended = threading.Event()
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_night_is_followed_to_its_end_and_its_pictures_are_written(
    run: Run, url: str, worker: PlayedWorker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--hours", "0.001", "--keep", "2", "--seed", "7", "--preset", "fast", "-o", "kept"]
    with drawing(worker):
        assert run("night", "a red apple", *words) == 0
    told = capsys.readouterr()
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert [row[3] for row in rows] == ["256x256", "256x256"]
    assert float(rows[0][1]) > float(rows[1][1])
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {
        f"{place:03d}-seed-{row[2]}.png" for place, row in enumerate(rows, 1)
    }
    assert ": finishing" in told.err or ": succeeded" in told.err


def test_a_night_goes_on_alone_and_is_listed_finished_and_deleted(
    run: Run, url: str, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str) -> str:
        assert run(*words) == 0
        return capsys.readouterr().out

    night_id = told("night", "a fox", "--keep", "5%", "--no-upscale", "--detach").strip()
    (row,) = told("nights", "list").splitlines()
    assert row.split("\t")[:2] == [night_id, "running"]
    assert row.split("\t")[3] == "a fox"
    with Client(url) as client, drawing(worker):
        until(lambda: client.nights.get(night_id).made >= 3)
        assert told("nights", "finish", night_id).strip() == "finishing"
        assert told("nights", "follow", night_id).count("\n") == 1
        shown = json.loads(told("nights", "show", night_id, "--json"))
        (picture,) = client.nights.pictures(night_id)
    assert (shown["status"], shown["keep"]) == ("succeeded", "5%")
    assert picture.seed == shown["kept"][0]["seed"]
    told("nights", "delete", night_id)
    assert run("nights", "show", night_id) == 1
    assert "there is no night" in capsys.readouterr().err


def test_a_canceled_night_is_exit_code_5(run: Run, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("night", "a fox", "--detach") == 0
    night_id = capsys.readouterr().out.strip()
    assert run("nights", "cancel", night_id) == 0
    assert run("nights", "follow", night_id) == 5
    assert f"night {night_id} was canceled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--hours", "25"), "hours: Input should be less than or equal to 24"),
        (("--keep", "0"), "keep: Input should be a number from 1 to 500"),
        (("--scorer", "none"), "'none' is not in the catalog"),
    ],
)
def test_what_is_wrong_is_exit_code_2(
    run: Run, url: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    assert run("night", "a fox", *words) == 2
    assert reason in capsys.readouterr().err


def test_a_night_is_one_line(url: str) -> None:
    with Client(url) as client:
        night = client.nights.begin("a fox", hours=8)
    assert line_of(night) in {"8 h 00 min left, 0 made", "7 h 59 min left, 0 made"}
    waiting = night.model_copy(update={"failed": 2, "waits_for": "the month is spent", "left_s": 61.2})
    assert line_of(waiting) == "1 min 01 s left, 0 made, 2 failed, waits: the month is spent"
    assert [duration(seconds) for seconds in (0, 59.4, 3600, 86399)] == [
        "0 s",
        "59 s",
        "1 h 00 min",
        "23 h 59 min",
    ]
