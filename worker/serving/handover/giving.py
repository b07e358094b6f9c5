"""Leaves the states of unfinished jobs in the artifact store, for the workers that go on with them."""

import structlog
import torch

from jobs.errors import DeviceLostError, LodestarError
from jobs.queue.leases import Lease, Leases
from jobs.requests.request import ResolvedRequest
from jobs.status.job import Progress
from jobs.storage.artifacts import ArtifactStore
from worker.engine.work import HandedOver, Work
from worker.models.device import Device
from worker.pictures.picture import Picture
from worker.serving.storing import Storing, stores_enlarged_alone
from worker.states.files import dump, file_name
from worker.states.fit import fit_of
from worker.states.state import JobState, MadePicture

log = structlog.get_logger(__name__)


class Giving:
    """Hands jobs over. Threads may share one."""

    def __init__(self, leases: Leases, artifacts: ArtifactStore, storing: Storing, device: Device) -> None:
        """Hand nothing over yet.

        Args:
            leases: of the executions.
            artifacts: the store of states and pictures.
            storing: of the pictures.
            device: that makes them.
        """
        self._leases, self._artifacts, self._storing, self._device = leases, artifacts, storing, device

    def give(self, lease: Lease, work: Work, outcome: HandedOver) -> bool:
        """Store the state of a job and release it; False if that cannot be stored, and the job is still held.

        There is one try: the process may be killed soon, and the job waits again by itself then.

        Raises:
            DeviceLostError: a picture was lost with the device.
        """
        try:
            state = self._state(lease, outcome)
            data = dump(state)
            self._artifacts.put(f"{lease.artifact_prefix}/{file_name(data)}", data)
        except DeviceLostError:
            raise
        except (OSError, LodestarError):
            log.exception("the state of a job could not be stored; it starts afresh", job=lease.job_id)
            return False
        done = Progress(step=state.steps(lease.generation.steps_run), steps=work.steps)
        self._leases.release(lease, (file_name(data), done))
        log.info("job handed over", job=lease.job_id, fence=lease.fence, step=done.step, steps=done.steps)
        return True

    def _state(self, lease: Lease, outcome: HandedOver) -> JobState:
        """The state of a job, once all of its finished pictures are stored.

        Raises:
            OSError: one cannot be stored.
            LodestarError: one cannot be encoded.
        """
        request = lease.generation
        stored = {image.index: image for image in self._storing.all(lease)}
        made = (
            MadePicture(
                index=picture.index,
                seed=picture.seed,
                clip_score=picture.clip_score,
                aesthetic_score=picture.aesthetic_score,
                trace=picture.trace,
                embedding=picture.embedding,
                levels=_levels(picture, request),
                image=stored.get(picture.index),
            )
            for picture in outcome.pictures
        )
        fit = fit_of(request, self._device.kind)
        return JobState(fit=fit, models=outcome.models, pictures=tuple(made), unfinished=outcome.states)


def _levels(picture: Picture, request: ResolvedRequest) -> torch.Tensor | None:
    """The levels [H, W, 3] of a picture that no file holds."""
    return torch.from_numpy(picture.raster.levels()) if stores_enlarged_alone(request) else None
