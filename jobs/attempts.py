"""What the loss of a worker costs a job, and how often it may happen."""

from typing import cast

from jobs.errors import AttemptsExhaustedError
from jobs.scripts import Scripts
from jobs.state import JobError

MAX_ATTEMPTS = 3
MAX_STARTS = 10  # also counts the losses that were nobody's fault, so that nothing goes round for ever


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


def _reason(message: str) -> str:
    return JobError(type=AttemptsExhaustedError.type, message=message).model_dump_json()
