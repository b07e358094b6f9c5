"""Takes the states that other workers have left, so that their jobs go on from there."""

import struct
from collections.abc import Iterator
from contextlib import suppress

import structlog
import torch
from redis.exceptions import RedisError

from jobs.errors import UnknownImageError
from jobs.queue.leases import Lease, Leases
from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from jobs.storage.artifacts import ArtifactStore
from worker.engine.work import Work
from worker.models.device import Device
from worker.pictures.picture import Picture
from worker.pictures.png import picture_key
from worker.raster import Raster
from worker.serving.files import attempts
from worker.serving.held_jobs import Execution
from worker.serving.storing import Storing
from worker.states.files import InvalidStateError, read
from worker.states.fit import fit_of
from worker.states.state import JobState, MadePicture

_SIZE = slice(16, 24)  # of the bytes of a PNG file: width and height

log = structlog.get_logger(__name__)


class Taking:
    """Takes jobs over. Threads may share one."""

    def __init__(self, leases: Leases, artifacts: ArtifactStore, storing: Storing, device: Device) -> None:
        """Take nothing over yet; the arguments are those of ``Giving``."""
        self._leases, self._artifacts, self._storing, self._device = leases, artifacts, storing, device

    def take(self, lease: Lease, work: Work) -> None:
        """Let a job go on from the state that its last worker left, if there is one that fits."""
        request = lease.request
        if not lease.state or not isinstance(request, ResolvedRequest):
            return
        try:
            state = self._read(lease, request)
            made = list(self._copied(lease, state))
        except (InvalidStateError, UnknownImageError, OSError) as error:
            log.warning("a job starts afresh: its state is of no use", job=lease.job_id, reason=str(error))
            return
        state = state.model_copy(update={"pictures": tuple(picture for picture, _ in made)})
        self._storing.adopt(lease, [image for picture, image in made if picture.levels is None])
        work.resumed, work.finished = state, tuple(_picture(picture) for picture, _ in made)
        work.on_anew = lambda: self._drop(lease, work)
        work.resume(request.steps_run * request.num_images, state.steps(request.steps_run))
        log.info("job goes on", job=lease.job_id, step=work.first_step, steps=work.steps)
        with suppress(RedisError):  # the choice needs none of them
            for _, image in made if request.select else ():
                if image is not None:
                    self._leases.show(lease, image)

    def _read(self, lease: Lease, request: ResolvedRequest) -> JobState:
        """The state of a job.

        Raises:
            InvalidStateError: it does not fit.
            UnknownImageError: its file is gone.
            OSError: the store has failed for half a minute.
        """
        state = read(self._get(f"{lease.job_id}/{lease.state}"), lease.state.rpartition("/")[2])
        if state.fit != fit_of(request, self._device.kind):
            raise InvalidStateError("it is of another request, of other code, or of another kind of device")
        return state

    def _copied(self, lease: Lease, state: JobState) -> Iterator[tuple[MadePicture, StoredImage | None]]:
        """The finished pictures, with the records of their copies among this execution's files."""
        for picture in state.pictures:
            if picture.image is None:
                yield picture, None
                continue
            png = self._get(picture.image.key)
            if struct.unpack(">II", png[_SIZE]) != (picture.image.width, picture.image.height):
                continue  # its enlargement has taken its place
            key = picture_key(lease.artifact_prefix, picture.index)
            self._artifacts.put(key, png)
            yield picture, picture.image.model_copy(update={"key": key})

    def _get(self, key: str) -> bytes:
        for attempt in attempts():
            with attempt:
                return self._artifacts.get(key)
        raise AssertionError("the last attempt raises")

    def _drop(self, lease: Lease, work: Work) -> None:
        """The pictures are made again: the weights are others."""
        self._storing.forget(lease)
        execution: Execution = work.owner
        execution.counted = 0.0


def _picture(made: MadePicture) -> Picture:
    """A finished picture, as the engine keeps it."""
    nothing = torch.empty(3, 0, 0)
    return Picture(
        made.index,
        made.seed,
        nothing,
        Raster(nothing if made.levels is None else made.levels.permute(2, 0, 1) / 255),
        made.clip_score,
        made.trace,
        made.aesthetic_score,
        made.embedding,
    )
