"""Calls to Redis that are timed, by a real server."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError

from jobs.db.connection import connect
from jobs.db.scripts import Scripts
from jobs.db.timing import PIPELINE
from jobs.queue.queue import JobQueue
from tests.jobs.samples import RESOLVED


class Notes:
    """What was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float, bool]] = []

    def __call__(self, name: str, seconds: float, failed: bool) -> None:
        self.calls.append((name, seconds, failed))

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


def test_scripts_and_commands_are_told_by_their_names_and_pipelines_as_one_by_their_first_script(
    redis: Redis, redis_url: str
) -> None:
    notes = Notes()
    with connect(redis_url, patient=False, note=notes) as timed:
        queue = JobQueue(timed, max_queued=10)
        job_id = queue.submit(RESOLVED).job.id
        assert notes.names.count("submit") in (1, 2)  # it is sent again if the server did not know it
        notes.calls.clear()
        timed.hget("{lodestar}:job:" + job_id, "status")
        with timed.pipeline(transaction=False) as pipeline:
            pipeline.get("a")
            Scripts(timed).queue(pipeline, "weigh", job_id)
            pipeline.execute()
        with timed.pipeline() as pipeline:
            pipeline.get("a")
            pipeline.get("b")
            pipeline.execute()
    assert notes.names == ["hget", "weigh", PIPELINE]
    assert all(0 < seconds < 10 for _, seconds, _ in notes.calls)
    assert not any(failed for _, _, failed in notes.calls)


def test_a_script_that_the_server_does_not_know_is_no_failure(redis: Redis, redis_url: str) -> None:
    redis.script_flush()
    notes = Notes()
    with connect(redis_url, patient=False, note=notes) as timed:
        JobQueue(timed, max_queued=10).submit(RESOLVED)
    assert "script load" in notes.names or "script" in notes.names
    assert not any(failed for _, _, failed in notes.calls)


def test_a_server_that_is_away_is_a_failure_with_the_time_that_was_waited() -> None:
    notes = Notes()
    with (
        connect("unix:///nowhere/valkey.sock", patient=False, note=notes) as timed,
        pytest.raises(ConnectionError),
    ):
        timed.ping()
    ((name, seconds, failed),) = notes.calls
    assert (name, failed) == ("ping", True)
    assert seconds > 1
