"""Files that a caller's request brings, kept in the artifact store beside the job that they are for."""

from dataclasses import dataclass

UPLOADS = "uploads"


@dataclass(frozen=True)
class BroughtFiles:
    """What was stored for a job before it is submitted.

    Attributes:
        inputs: digests of the pictures that the job keeps as long as it is kept itself.
        inputs_bytes: of these.
        uploads_bytes: of the files that go when the job has ended.
    """

    inputs: tuple[str, ...] = ()
    inputs_bytes: int = 0
    uploads_bytes: int = 0


NO_FILES = BroughtFiles()


def input_key(job_id: str, digest: str) -> str:
    """Where a picture that a job keeps lies."""
    return f"{job_id}/inputs/{digest}.png"


def upload_key(job_id: str, number: int, suffix: str) -> str:
    """Where a file lies that goes when the job has ended."""
    return f"{job_id}/{UPLOADS}/{number}{suffix}"
