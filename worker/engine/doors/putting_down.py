"""Puts running jobs down between two steps, so that another worker goes on with them.

A picture's state can be taken from its last step until the denoiser's next call is answered. So a picture that waits
for that call is put down at once. One that is within a step goes on to its end.
"""

from collections.abc import Callable, Iterable

import structlog

from jobs.errors import DeviceLostError, LodestarError
from jobs.requests.request import ResolvedRequest
from worker.engine.jobs import Job
from worker.engine.plans import models_digest
from worker.engine.work import HandedOver, Outcome, Stopped
from worker.models.registry import ModelRegistry

log = structlog.get_logger(__name__)


def put_down(jobs: Iterable[Job], models: ModelRegistry, leave: Callable[[Job, Outcome], None]) -> None:
    """Put down all pictures that are between two steps, and let the jobs go of which none is within one.

    Args:
        jobs: that run.
        models: that make their pictures.
        leave: lets a job go with its outcome.

    Raises:
        DeviceLostError: the states are lost.
    """
    for job in jobs:
        if not _can_be_resumed(job):
            leave(job, Stopped())
            continue
        try:
            outcome = _outcome(job, models)
        except DeviceLostError:
            raise
        except LodestarError as error:
            leave(job, job.failure(error))
        else:
            if outcome is not None:
                leave(job, outcome)


def drop_foreign(job: Job, models: ModelRegistry) -> None:
    """Let a job begin anew whose state is of other weights than those in memory.

    Raises:
        LodestarError: a model is not in memory, and cannot be loaded.
    """
    resumed = job.work.resumed
    if resumed is None or len(resumed.pictures) == job.plan.results:  # nothing is left for the weights to do
        return
    if resumed.models != models_digest(models, job.plan.refs):
        log.warning("the state of a job is of other weights; it starts afresh", job=job.work.id)
        job.work.begin_anew()


def _can_be_resumed(job: Job) -> bool:
    """Whether a job has states. Pictures of a group that is drawn anew have none; nor have tasks."""
    request = job.work.request
    resamples = isinstance(request, ResolvedRequest) and request.select and request.select.resample
    return isinstance(request, ResolvedRequest) and not resamples


def _outcome(job: Job, models: ModelRegistry) -> HandedOver | Stopped | None:
    """What becomes of a job; None while one of its pictures is within a step.

    Raises:
        LodestarError: the last step of a picture has spoilt it.
    """
    for trajectory in list(job.trajectories):
        if trajectory.state is not None:
            job.put_down(trajectory)
    if job.trajectories:
        return None
    if job.work.progress.step == job.work.first_step:
        return Stopped()  # what others have left is as good
    return HandedOver(tuple(job.pictures), job.states, models_digest(models, job.plan.refs))
