"""The jobs and the embeddings of a service, for the client that awaits."""

from collections.abc import AsyncIterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Unpack

from jobs.requests.embeddings import EmbeddingInfo
from jobs.requests.uploads import Upload
from jobs.status.job import Job
from jobs.status.lists import Done, FailureList, JobPage
from lodestar.generation import PATIENCE_S, done, fetched
from lodestar.http import bringing, calls, listing
from lodestar.http.listing import Filters
from lodestar.http.streams import Reader, StreamedEvent
from lodestar.http.transport import AsyncTransport
from lodestar.inputs import PictureLike
from lodestar.picture import Picture
from lodestar.progress import Show, shown


class AsyncJobs:
    """Jobs of the service."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Made by AsyncClient."""
        self._transport = transport

    async def get(self, job_id: str) -> Job:
        """The job now."""
        return await self._transport.run(calls.get_job(job_id))

    async def list(
        self,
        *,
        cursor: str | None = None,
        limit: int = 50,
        order: str | None = None,
        **filters: Unpack[Filters],
    ) -> JobPage:
        """One page of the jobs that fit the filters (``status``, ``label``, ``q``, ...), newest first.

        Args:
            cursor: the ``next_cursor`` of the page before. A page may be short or empty, see ``looked_to``.
            limit: jobs on a page, at most 200.
            order: ``turn`` lists the jobs that wait, the next one first.
            filters: see ``lodestar.Filters``.
        """
        return await self._transport.run(listing.list_jobs(filters, cursor, limit, order))

    async def failures(self, **filters: Unpack[Filters]) -> FailureList:
        """How many of the jobs that fit have failed for each reason."""
        return await self._transport.run(listing.list_failures(filters))

    async def cancel_all(self, **filters: Unpack[Filters]) -> Done:
        """Cancel the jobs that fit; without a status, of those that wait or run. At least one filter is needed."""
        return await self._transport.run(listing.change_all("cancel", filters))

    async def retry_all(self, **filters: Unpack[Filters]) -> Done:
        """Run the jobs that fit again; without a status, of those that failed or were canceled. It needs a filter."""
        return await self._transport.run(listing.change_all("retry", filters))

    async def delete_all(self, **filters: Unpack[Filters]) -> Done:
        """Delete the jobs that fit, in any status unless one is named, and their pictures. It needs a filter."""
        return await self._transport.run(listing.change_all("delete", filters))

    async def prioritize_all(self, priority: str, **filters: Unpack[Filters]) -> Done:
        """Give the waiting jobs that fit another priority: ``low``, ``normal`` or ``high``. It needs a filter."""
        return await self._transport.run(listing.change_all("prioritize", filters, priority=priority))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; the job after that. A repeated or late cancel changes nothing."""
        return await self._transport.run(calls.cancel_job(job_id))

    async def retry(self, job_id: str) -> Job:
        """Queue a new job of the same request; that job. The first stays as it is."""
        return await self._transport.run(calls.retry_job(job_id))

    async def prioritize(self, job_id: str, priority: str) -> Job:
        """Give a waiting job another priority: ``low``, ``normal`` or ``high``; the job after that."""
        return await self._transport.run(calls.prioritize_job(job_id, priority))

    async def delete(self, job_id: str) -> None:
        """Delete a job and its pictures; a running one stops."""
        await self._transport.run(calls.delete(calls.job_path(job_id)))

    async def wait(
        self,
        job_id: str,
        *,
        progress: bool | Show | None = False,
        timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Job:
        """The job once it has ended, however it did.

        Args:
            job_id: of the job.
            progress: as for ``Client.generate``.
            timeout_s: how long to wait in all; None for as long as it takes.
            patience_s: how long the server may be away in between, since the job goes on without it.

        Raises:
            WaitTimeoutError: ``timeout_s`` is over.
        """
        with shown(progress) as show:
            return await self._transport.run(calls.wait(job_id, show, calls.patience(timeout_s), patience_s))

    async def pictures(self, job: Job | str) -> AsyncIterator[Picture]:
        """The pictures of a job that has succeeded, fetched one after the other.

        Raises:
            JobFailedError, JobCanceledError: it has ended without pictures.
        """
        ended = done(await self.get(job) if isinstance(job, str) else job)
        for image in ended.images:
            yield await self._transport.run(fetched(ended, image.index))

    async def image(self, job_id: str, index: int = 0) -> bytes:
        """A finished picture, as a PNG file."""
        return await self._transport.run(calls.picture_file(job_id, index))

    def events(
        self, job_id: str | None = None, *, patience_s: float = PATIENCE_S
    ) -> AsyncIterator[StreamedEvent]:
        """The events of a job, from a snapshot to its end; or of all jobs, without end.

        Args:
            job_id: None follows all jobs.
            patience_s: how long the server may be away in between; nothing is missed or told twice.
        """
        return self._transport.events(Reader(job_id, patience_s))


class AsyncUploads:
    """Pictures that the service keeps for some time, so that many requests name each of them by its id."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Made by AsyncClient."""
        self._transport = transport

    async def add(self, pictures: PictureLike | Sequence[PictureLike]) -> tuple[Upload, ...]:
        """Upload pictures, given as for ``Client.score``; what the service knows of each, in their order."""
        return await self._transport.run(bringing.upload(pictures))

    async def list(self) -> tuple[Upload, ...]:
        """The caller's uploads, those that expire last first."""
        return await self._transport.run(bringing.list_uploads())

    async def get(self, upload_id: str) -> Upload:
        """The size of an upload, and when it expires."""
        return await self._transport.run(bringing.get_upload(upload_id))

    async def content(self, upload_id: str) -> bytes:
        """The stored picture, as a PNG file."""
        return await self._transport.run(calls.content(bringing.upload_path(upload_id) + "/content"))

    async def delete(self, upload_id: str) -> None:
        """Delete an upload. Jobs that name it keep copies of their own."""
        await self._transport.run(calls.delete(bringing.upload_path(upload_id)))


class AsyncEmbeddings:
    """Aesthetic embeddings of the service. Pictures are given as for ``Client.score``, or as jobs of the service."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Made by AsyncClient."""
        self._transport = transport

    async def list(self) -> tuple[EmbeddingInfo, ...]:
        """All embeddings, by name."""
        return await self._transport.run(bringing.list_embeddings())

    async def get(self, name: str) -> EmbeddingInfo:
        """The description of an embedding."""
        return await self._transport.run(bringing.get_embedding(name))

    async def make(
        self,
        name: str,
        pictures: PictureLike | Sequence[PictureLike],
        *,
        minus: PictureLike | Sequence[PictureLike] = (),
        clip: str | None = None,
        normalize: bool = True,
    ) -> Job:
        """Have an embedding made as the mean of pictures; the job that does it.

        Args:
            name: a new name.
            pictures: whose mean it is.
            minus: pictures whose mean is subtracted.
            clip: id of the CLIP to make it with; the server's default if None.
            normalize: whether every picture counts the same.
        """
        return await self._transport.run(bringing.make_embedding(name, pictures, minus, clip, normalize))

    async def import_(self, name: str, file: str | PathLike[str], *, clip: str | None = None) -> Job:
        """Have a file with one vector read as an embedding; the job that does it."""
        return await self._transport.run(bringing.import_embedding(name, Path(file), clip))

    async def export(self, name: str) -> bytes:
        """An embedding as a safetensors file."""
        return await self._transport.run(calls.content(bringing.embedding_path(name) + "/file"))

    async def delete(self, name: str) -> None:
        """Delete an embedding."""
        await self._transport.run(calls.delete(bringing.embedding_path(name)))
