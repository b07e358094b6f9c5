"""The files of a job in the artifact store: their keys and their deletion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.storage.artifacts import ArtifactStore

UPLOADS = "uploads"
MAPS = "maps"


@dataclass(frozen=True)
class BroughtFiles:
    """Files that a request brings, stored for its job before that is submitted.

    Attributes:
        inputs: digests of the pictures that the job keeps as long as it is kept itself.
        inputs_bytes: size of these pictures.
        uploads_bytes: size of the files that are deleted at the job's end.
    """

    inputs: tuple[str, ...] = ()
    inputs_bytes: int = 0
    uploads_bytes: int = 0


NO_FILES = BroughtFiles()


def input_key(job_id: str, digest: str) -> str:
    """Key of a picture that a job keeps."""
    return f"{job_id}/inputs/{digest}.png"


def map_folder(prefix: str) -> str:
    """What the keys of an execution's maps begin with."""
    return f"{prefix}/{MAPS}/"


def map_key(prefix: str, number: int) -> str:
    """Key of the map that a control of an execution has read.

    Args:
        prefix: of the execution's keys.
        number: of the control in the request, from 0.
    """
    return f"{map_folder(prefix)}{number}.png"


def upload_key(job_id: str, number: int, suffix: str) -> str:
    """Key of a file that is deleted at the job's end."""
    return f"{job_id}/{UPLOADS}/{number}{suffix}"


class JobFiles:
    """All files of jobs and of executions, each under the same name in several folders of the store.

    Every method lets OSError through when the store cannot be reached.
    """

    def __init__(self, artifacts: ArtifactStore, *, beside: Sequence[str] = ()) -> None:
        """Make one.

        Args:
            artifacts: the store; its root has a folder of each job.
            beside: further folders that have such folders.
        """
        self._artifacts = artifacts
        self._beside = tuple(beside)

    def delete(self, place: str) -> None:
        """Delete the files of a job or of one execution (``job/fence``); none is fine."""
        for folder in self._beside:
            self._artifacts.delete(f"{folder}/{place}")
        self._artifacts.delete(place)

    def delete_before(self, place: str, forget: Callable[[str], object], *, may_grow: bool = False) -> None:
        """Delete files, then the record of them: if the store is away, the record stays to try again by.

        Args:
            place: of the files.
            forget: deletes the record of this place.
            may_grow: whether a worker may store more until the record is gone; if so, that is deleted too.
        """
        self.delete(place)
        forget(place)
        if may_grow:
            self.delete(place)
