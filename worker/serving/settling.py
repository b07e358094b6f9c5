"""Ends executions: stores and commits their results, or releases their jobs."""

from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from jobs.errors import DeviceLostError, LeaseLostError, LodestarError
from jobs.queue.leases import Lease, Leases, Standing
from jobs.status.job import JobStatus
from worker.engine.tasks import Done
from worker.engine.work import Failed, Finished, HandedOver, Outcome, Stopped, as_failure
from worker.pictures.hints import shown_maps
from worker.serving.enlarging import Enlarged
from worker.serving.held_jobs import Execution, HeldJobs
from worker.serving.lane import Lane
from worker.serving.publisher import Publisher
from worker.telemetry.traces import ExecutionTraces

UNSETTLED: str = "unsettled"
AT_ONCE = 2  # so that a job of many large pictures delays no other

log = structlog.get_logger(__name__)


class Settling:
    """Settles executions on threads of its own. Their queue is bounded, since a job is held until it is settled."""

    def __init__(
        self,
        held: HeldJobs,
        leases: Leases,
        publisher: Publisher,
        is_fit: Callable[[], bool],
        send_notes: Callable[[Execution], None],
        traces: ExecutionTraces,
    ) -> None:
        """Start no thread yet.

        Args:
            held: the worker's executions.
            leases: of the executions.
            publisher: stores their results.
            is_fit: whether the worker can go on computing; if not, a failure may be the worker's and not the job's.
            send_notes: sends the notes on a job.
            traces: of the executions.
        """
        self._held = held
        self._leases = leases
        self._publisher = publisher
        self._is_fit = is_fit
        self._send_notes = send_notes
        self._traces = traces
        self._lane = Lane("publisher", AT_ONCE)

    def add(self, execution: Execution, outcome: Outcome | Enlarged) -> None:
        """Settle an execution soon; returns at once."""
        self._lane.submit(self._settle, execution, outcome)

    def release(self, lease: Lease) -> None:
        """End an execution without an outcome; the queue will refuse a result that still comes."""
        if self._is_fit():
            self._leases.release(lease)
        else:
            self._leases.surrender(lease)

    def close(self, within_s: float) -> None:
        """Settle no more; return when the executions in hand are settled, or the time is over."""
        self._lane.close(within_s)

    def _settle(self, execution: Execution, outcome: Outcome | Enlarged) -> None:
        lease, status = execution.lease, UNSETTLED
        try:
            with self._traces.part(lease, "commit"):
                status = self._ended(execution, outcome)
            log.info("job settled", job=lease.job_id, fence=lease.fence, status=status)
        except LeaseLostError:
            status = Standing.LOST
            log.warning(
                "job belongs to another execution; result dropped", job=lease.job_id, fence=lease.fence
            )
            self._publisher.discard(lease)
        except Exception:
            # The lease runs out, and the reaper gives the job to the next worker.
            log.exception("job could not be settled", job=lease.job_id, fence=lease.fence)
        finally:
            self._publisher.forget(lease)
            self._traces.end(lease, execution.work, status)
            self._held.remove(execution)

    def _ended(self, execution: Execution, outcome: Outcome | Enlarged) -> JobStatus:
        """The new status of the job.

        Raises:
            LeaseLostError: the job belongs to another execution now, or is gone.
            RedisError: Redis cannot be reached, so only the end of the lease can release the job.
            OSError: the store cannot be reached, likewise.
        """
        try:
            return self._conclude(execution, outcome)
        except (RedisError, OSError, LeaseLostError):
            raise
        except DeviceLostError:
            # Another worker can make its pictures; this one is about to end.
            self._leases.surrender(execution.lease)
            self._publisher.discard(execution.lease)
            return JobStatus.QUEUED
        except Exception as error:
            # Every other worker would meet the same error, and count as crashed by this job.
            return self._fail(execution.lease, as_failure(error, execution.lease.job_id))

    def _conclude(self, execution: Execution, outcome: Outcome | Enlarged) -> JobStatus:
        lease = execution.lease
        self._send_notes(execution)
        match outcome:
            case Finished() | Enlarged():
                if (news := execution.news) is not None:  # the steps since the last renewal
                    self._leases.renew(lease, news)
                stored = outcome.images if isinstance(outcome, Enlarged) else None
                hints = execution.work.inputs.hints
                maps = shown_maps(lease.generation, hints) if hints else ()
                return self._publisher.publish(lease, outcome.pictures, stored, maps)
            case Done():
                return self._publisher.answer(lease, outcome)
            case Stopped() if execution.standing is Standing.CANCELED:
                status = self._leases.cancel(lease)
            case Stopped() if execution.standing is Standing.LOST:
                raise LeaseLostError(lease.job_id)
            case Failed() if self._is_fit():
                status = self._leases.fail(lease, outcome.error)
            case HandedOver() if execution.standing is Standing.HELD and self._is_fit():
                if self._publisher.giving.give(lease, execution.work, outcome):
                    return JobStatus.QUEUED
                self.release(lease)
                status = JobStatus.QUEUED
            case _:
                self.release(lease)
                status = JobStatus.QUEUED
        if execution.enlarging:
            self._publisher.discard(lease)
        else:
            self._publisher.withdraw(lease)
        return status

    def _fail(self, lease: Lease, error: LodestarError) -> JobStatus:
        status = self._leases.fail(lease, error)
        # A result that was committed before the error stays, and is the outcome.
        if status is not JobStatus.SUCCEEDED:
            self._publisher.discard(lease)
        return status
