"""A folder of generated segments, and a store that counts what is asked of it."""

import base64
from pathlib import Path

from benchmarks.search.vectors import Pictures
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.segments import Segment, Segments

CLIP = "benchmark/clip"
PICTURES_OF_A_JOB = 16
_DONE = "written.txt"


class CountingStore(ArtifactStore):
    """An artifact store that counts listings."""

    listings = 0

    def keys(self, prefix: str) -> list[str]:
        """As the store; counted."""
        self.listings += 1
        return super().keys(prefix)


def write_segments(folder: Path, pictures: Pictures, rows: int) -> bool:
    """Write the segments of so many pictures; False if they are there."""
    mark, wanted = folder / _DONE, f"{rows} of {pictures.width}\n"
    if mark.exists():
        if mark.read_text() != wanted:
            raise SystemExit(f"{folder} has other segments: {mark.read_text()}")
        return False
    segments = Segments(ArtifactStore(str(folder)), CLIP)
    job = 0
    for part, size in pictures.parts(rows):
        jobs = -(-size // PICTURES_OF_A_JOB)
        following = segments.key(job_id_of(job + jobs), fence_of(job + jobs))
        if (folder / following).exists():  # an earlier call has written this part
            job += jobs
            continue
        portion = pictures.draw(size, part)
        for start in range(0, len(portion), PICTURES_OF_A_JOB):
            vectors = portion[start : start + PICTURES_OF_A_JOB]
            segment = Segment(
                job_id=job_id_of(job),
                fence=fence_of(job),
                indexes=tuple(range(len(vectors))),
                width=pictures.width,
                vectors=base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
            )
            key, data = segments.encode(segment)
            file = folder / key  # not through the store, which brings each file to the disk
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            job += 1
    mark.write_text(wanted)
    return True


def job_id_of(job: int) -> str:
    """Id of the job with this number."""
    return f"{job:024x}"


def fence_of(job: int) -> str:
    """Fence of its execution."""
    return f"1-{job:012x}"
