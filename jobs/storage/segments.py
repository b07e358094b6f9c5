"""Segments of the search index: the CLIP embeddings of one execution's kept pictures.

Each execution writes a file of its own beside the pictures, before it commits, and never changes it: any number of
workers may write at a time. The job decides whether a segment counts: a search finds no picture of an execution that
lost the job, or of a deleted job. So the index can be rebuilt from the segments at any time.
"""

import base64
import sys
from array import array
from hashlib import sha256
from pathlib import Path

from pydantic import Field

from jobs.storage.artifacts import ArtifactStore
from jobs.wire import Wire

NAME = "segment.json"


class Segment(Wire):
    """The pictures of one execution."""

    job_id: str
    fence: str
    indexes: tuple[int, ...] = Field(description="Numbers of the pictures within their job.")
    width: int = Field(gt=0, description="Length of a vector.")
    vectors: str = Field(description="Unit vectors, one after the other: float32, little-endian, base64.")
    tenant: str = Field("", description="Tenant of the job; empty for the default one.")

    @classmethod
    def of(cls, job_id: str, fence: str, rows: dict[int, list[float]], tenant: str = "") -> "Segment":
        """The segment of vectors by the pictures' numbers; at least one."""
        numbers = array("f", (number for row in rows.values() for number in row))
        if sys.byteorder == "big":
            numbers.byteswap()
        return cls(
            job_id=job_id,
            fence=fence,
            indexes=tuple(rows),
            width=len(next(iter(rows.values()))),
            vectors=base64.b64encode(numbers.tobytes()).decode(),
            tenant=tenant,
        )

    @property
    def data(self) -> bytes:
        """The vectors' bytes."""
        return base64.b64decode(self.vectors)


class Segments:
    """All segments of one CLIP."""

    def __init__(self, artifacts: ArtifactStore, clip: str) -> None:
        self._artifacts = artifacts
        # The id of a CLIP may have slashes.
        self.folder = f"search/{sha256(clip.encode()).hexdigest()[:16]}"
        self.root = f"{self.folder}/segments"
        """Folder that has the segments of a job, and of an execution, under the same names as the artifact store."""

    def encode(self, segment: Segment) -> tuple[str, bytes]:
        """A segment as a file: its key and its bytes."""
        return self.key(segment.job_id, segment.fence), segment.model_dump_json(
            exclude_defaults=True
        ).encode()

    def get(self, key: str) -> Segment:
        """Read a segment.

        Raises:
            UnknownImageError: it is gone.
        """
        return Segment.model_validate_json(self._artifacts.get(key))

    def keys(self) -> list[str]:
        """The keys of all segments."""
        return self._artifacts.keys(self.root)

    def keys_of(self, job_id: str) -> list[str]:
        """The keys of the segments of all executions of a job."""
        return self._artifacts.keys(f"{self.root}/{job_id}")

    def execution(self, key: str) -> tuple[str, str] | None:
        """The job and the fence of a segment's key; None for another file."""
        job_id, _, rest = key.removeprefix(f"{self.root}/").partition("/")
        fence, _, name = rest.partition("/")
        return (job_id, fence) if name == NAME and job_id and fence else None

    @property
    def local_folder(self) -> Path | None:
        """The folder of this CLIP on this machine; None if the store is remote."""
        root = self._artifacts.local_folder
        return None if root is None else root / self.folder

    def write(self, key: str, data: bytes) -> None:
        """Keep a segment."""
        self._artifacts.put(key, data)

    def delete(self, key: str) -> None:
        """Remove a segment."""
        self._artifacts.delete(key)

    def key(self, job_id: str, fence: str) -> str:
        """Key of an execution's segment."""
        return f"{self.root}/{job_id}/{fence}/{NAME}"
