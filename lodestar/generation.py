"""Pictures on their way: what ``generate`` returns."""

from collections.abc import AsyncIterator, Iterator, Sequence
from os import PathLike
from pathlib import Path

from jobs.requests.tasks import Scores
from jobs.status.job import Job, JobStatus
from lodestar.errors import JobCanceledError, JobFailedError
from lodestar.http import calls
from lodestar.http.flow import Flow
from lodestar.http.transport import AsyncTransport, Transport
from lodestar.picture import Picture, picture_of
from lodestar.progress import Show, shown

PATIENCE_S = 30.0


def done(job: Job) -> Job:
    """The job, which has succeeded.

    Raises:
        JobFailedError: it failed.
        JobCanceledError: it was canceled.
    """
    if job.status is JobStatus.FAILED:
        said, kind = (job.error.message, job.error.type) if job.error else ("no reason is known", None)
        raise JobFailedError(f"job {job.id} failed: {said}", job, kind=kind)
    if job.status is JobStatus.CANCELED:
        raise JobCanceledError(f"job {job.id} was canceled", job)
    return job


def scores_of(job: Job) -> Scores:
    """The result of a job that scores pictures; raises as ``done``."""
    result = done(job).result
    if not isinstance(result, Scores):
        raise JobFailedError(f"job {job.id} has no scores", job)
    return result


class Generation:
    """The pictures of one or more jobs, in the order of the prompts; each job is fetched as soon as it has ended.

    To iterate waits for the pictures; to iterate again gives those that are there, and waits for the others. Whatever
    waits raises JobFailedError or JobCanceledError if a job ends without pictures.

    Attributes:
        jobs: as they were submitted, or as they ended.
    """

    def __init__(self, transport: Transport, jobs: Sequence[Job], progress: bool | Show | None) -> None:
        """Wait for nothing yet."""
        self.jobs = list(jobs)
        self._transport = transport
        self._progress = progress
        self._found: list[Picture] = []
        self._coming = self._pictures()

    def __iter__(self) -> Iterator[Picture]:
        """The pictures as they come."""
        place = 0
        while True:
            if place == len(self._found):
                try:
                    self._found.append(next(self._coming))
                except StopIteration:
                    return
                except BaseException:  # Ctrl-C too
                    self._coming = self._pictures()  # whoever asks again waits again
                    raise
            yield self._found[place]
            place += 1

    def pictures(self) -> list[Picture]:
        """All pictures, once they are there."""
        return list(self)

    def save(self, path: str | PathLike[str] | None = None) -> list[Path]:
        """Write the pictures, once they are there; their paths. See ``save_pictures``."""
        return save_pictures(self.pictures(), path)

    def cancel(self) -> None:
        """Cancel the jobs; those that have ended stay as they are."""
        self.jobs = [self._transport.run(calls.cancel_job(job.id)) for job in self.jobs]

    def _pictures(self) -> Iterator[Picture]:
        with shown(self._progress) as show:
            for job in self.jobs:
                show(job)
            for place, job in enumerate(self.jobs):
                self.jobs[place] = ended = self._transport.run(_ended(job, show))
                for index in missing(ended, self._found):
                    yield self._transport.run(fetched(ended, index))


class AsyncGeneration:
    """As ``Generation``, for ``async for``."""

    def __init__(self, transport: AsyncTransport, jobs: Sequence[Job], progress: bool | Show | None) -> None:
        """Wait for nothing yet."""
        self.jobs = list(jobs)
        self._transport = transport
        self._progress = progress
        self._found: list[Picture] = []
        self._coming = self._pictures()

    async def __aiter__(self) -> AsyncIterator[Picture]:
        """The pictures as they come."""
        place = 0
        while True:
            if place == len(self._found):
                try:
                    self._found.append(await anext(self._coming))
                except StopAsyncIteration:
                    return
                except BaseException:  # Ctrl-C too
                    self._coming = self._pictures()  # whoever asks again waits again
                    raise
            yield self._found[place]
            place += 1

    async def pictures(self) -> list[Picture]:
        """All pictures, once they are there."""
        return [picture async for picture in self]

    async def save(self, path: str | PathLike[str] | None = None) -> list[Path]:
        """Write the pictures, once they are there; their paths. See ``save_pictures``."""
        return save_pictures(await self.pictures(), path)

    async def cancel(self) -> None:
        """Cancel the jobs; those that have ended stay as they are."""
        self.jobs = [await self._transport.run(calls.cancel_job(job.id)) for job in self.jobs]

    async def _pictures(self) -> AsyncIterator[Picture]:
        with shown(self._progress) as show:
            for job in self.jobs:
                show(job)
            for place, job in enumerate(self.jobs):
                self.jobs[place] = ended = await self._transport.run(_ended(job, show))
                for index in missing(ended, self._found):
                    yield await self._transport.run(fetched(ended, index))


def _ended(job: Job, show: Show) -> Flow[Job]:
    if job.status.is_terminal:
        return done(job)
    return done((yield from calls.wait(job.id, show, calls.patience(None), PATIENCE_S)))


def missing(job: Job, found: Sequence[Picture]) -> list[int]:
    """The numbers of a job's pictures that are not there yet."""
    there = {picture.index for picture in found if picture.job.id == job.id}
    return [image.index for image in job.images if image.index not in there]


def fetched(job: Job, index: int) -> Flow[Picture]:
    """A picture of a job that has succeeded."""
    return picture_of(job, index, (yield from calls.picture_file(job.id, index)))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long, which writing will tell
        return False


def save_pictures(pictures: Sequence[Picture], path: str | PathLike[str] | None) -> list[Path]:
    """Write pictures; their paths.

    Args:
        pictures: of one or more jobs.
        path: file to write; of several pictures each gets a number before the suffix: that within its job, or of
            several jobs its place. A folder, or None for the present one, gets files named after the jobs.

    Raises:
        NotWritableError: a file cannot be written there.
    """
    jobs = {picture.job.id for picture in pictures}
    paths = []
    for place, picture in enumerate(pictures):
        target = Path() if path is None else Path(path)
        alone = len(picture.job.images) == 1
        if _is_folder(target):
            target = target / f"{picture.job.id}.png"
        elif len(jobs) > 1:
            target, alone = target.with_stem(f"{target.stem}-{place}"), True
        numbered = target if alone else target.with_stem(f"{target.stem}-{picture.index}")
        paths.append(picture.save(numbered))
    return paths
