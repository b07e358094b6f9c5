"""When the queue is told of a job's progress."""

from jobs.queue.leases import Lease
from tests.jobs.samples import RESOLVED
from worker.engine.work import Work
from worker.serving.held_jobs import Execution


def running(steps: int) -> Execution:
    return Execution(Lease("job", "fence", RESOLVED), Work("job", RESOLVED, steps=steps))


def told_at(execution: Execution, times: list[float]) -> list[int]:
    """The steps that are told when there is one more at each of these times."""
    told = []
    for now in times:
        execution.work.note_step()
        news = execution.due_news(now)
        execution.note_told(news, now)
        told += [news.step] if news else []
    return told


def test_a_long_job_is_told_of_once_a_second() -> None:
    times = [100 + 0.25 * step for step in range(12)]
    assert told_at(running(1000), times) == [1, 5, 9]


def test_a_short_job_is_told_of_at_every_twentieth_part() -> None:
    times = [100 + 0.01 * step for step in range(20)]
    assert told_at(running(20), times) == list(range(1, 21))
    assert told_at(running(100), times) == [1, 6, 11, 16]


def test_what_was_told_is_no_news() -> None:
    execution = running(10)
    assert execution.due_news(100.0) is not None  # the plan
    execution.note_told(execution.news, 100.0)
    assert execution.due_news(200.0) is None
    execution.work.note_step()
    assert execution.due_news(200.0) is not None
