"""Counts of jobs that ended, and of how long they waited and ran."""

from redis import Redis

from jobs.errors import LodestarError
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.requests.tasks import ScoreTask
from jobs.status.tallies import Labels, Tallies
from tests.jobs.samples import RESOLVED, claimed, pictures_of


def test_each_end_wait_and_run_is_counted_once_under_its_labels(redis: Redis) -> None:
    queue, leases, tallies = JobQueue(redis, max_queued=10), Leases(redis, worker="w"), Tallies(redis)
    assert tallies.read() == {"ended": {}, "waited": {}, "ran": {}}
    done, failed, released, canceled = (queue.submit(RESOLVED).job.id for _ in range(4))
    score = queue.submit(ScoreTask(clip="pocket-m", pictures=("a.png",))).job.id
    lease = claimed(leases, done)
    leases.succeed(lease, pictures_of(lease))
    leases.succeed(lease, pictures_of(lease))  # again, as after a lost answer
    leases.fail(claimed(leases, failed), LodestarError("it broke"))
    leases.release(claimed(leases, released))
    leases.fail(claimed(leases, released), LodestarError("it broke"))  # its second start: it has waited once
    leases.fail(claimed(leases, score), LodestarError("it broke"))
    queue.cancel(canceled)
    queue.cancel(canceled)
    found = tallies.read()

    preset = RESOLVED.guidance.preset if RESOLVED.guidance else ""

    def of(outcome: str) -> Labels:
        return Labels("generate", RESOLVED.model, preset, outcome)

    scored = Labels("score", "pocket-m", "", "failed")
    ended = {labels: tally.jobs for labels, tally in found["ended"].items()}
    assert ended == {of("succeeded"): 1, of("failed"): 2, of("canceled"): 1, scored: 1}
    ran = {labels: sum(tally.buckets.values()) for labels, tally in found["ran"].items()}
    assert ran == {of("succeeded"): 1, of("failed"): 2, scored: 1}
    waited = {labels: sum(tally.buckets.values()) for labels, tally in found["waited"].items()}
    assert waited == {of(""): 3, Labels("score", "pocket-m", "", ""): 1}
    assert 0 < found["waited"][of("")].seconds < 30
