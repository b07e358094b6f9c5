"""Ends of an execution without an outcome: the attempts that they charge, and their limit."""

from typing import Literal, cast

from jobs.db.scripts import Scripts
from jobs.errors import AttemptsExhaustedError
from jobs.status.job import JobError, Progress

MAX_ATTEMPTS = 3
# Also counts losses of co-held jobs and stops of a worker, which are no job's fault, so that no job starts for ever.
# But not starts that have left a state for the next one: the job has come further.
MAX_STARTS = 10


def give_up(scripts: Scripts, job_id: str, *, fence: str = "", max_attempts: int = MAX_ATTEMPTS) -> str:
    """End an execution with its worker: the job waits again, or has failed if it was lost too often.

    Args:
        scripts: to run ``lua/recover.lua``.
        job_id: of the job.
        fence: of the execution that gives itself up; without it, whichever one's lease has ended.
        max_attempts: losses that a job may be charged with.

    Returns:
        The job's new status; "held" when its lease is good; "lost" when the fence is stale.
    """
    attempts = f"its worker was lost in each of {max_attempts} attempts"
    starts = f"its worker was lost in the last of {MAX_STARTS} starts"
    status = scripts("recover", job_id, fence, max_attempts, _reason(attempts), MAX_STARTS, _reason(starts))
    return cast("str", status)


def release(
    scripts: Scripts,
    job_id: str,
    *,
    fence: str,
    place: Literal["waiting", "parked"] = "waiting",
    state: tuple[str, Progress] | None = None,
) -> str:
    """End an execution whose worker stops: no attempt is charged, but the start counts, unless it leaves a state.

    Args:
        scripts: to run ``lua/release.lua``.
        job_id: of the job.
        fence: of the execution.
        place: where the job goes: it waits again, or is parked for a worker that can read it and was never started.
        state: the file in the execution's folder that the next worker goes on from, and how far the job has come.

    Returns:
        The job's new status; "lost" when the fence is stale.
    """
    starts = f"its worker was stopped in the last of {MAX_STARTS} starts"
    left = () if state is None else (state[0], state[1].step, state[1].steps)
    return cast("str", scripts("release", job_id, fence, place, MAX_STARTS, _reason(starts), *left))


def _reason(message: str) -> str:
    return JobError(type=AttemptsExhaustedError.type, message=message).model_dump_json()
