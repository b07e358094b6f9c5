"""The client that awaits."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

from jobs.requests.tasks import Scores
from jobs.status.hits import Hits
from jobs.status.job import Job
from jobs.status.models import (
    AdapterInfo,
    ControlInfo,
    ImagePromptInfo,
    ModelInfo,
    TextualInversionInfo,
)
from jobs.status.workers import QueueInfo, WorkerInfo
from lodestar.errors import ClientError
from lodestar.generation import AsyncGeneration, scores_of
from lodestar.http import bringing, calls
from lodestar.http.calls import Prompt
from lodestar.http.flow import Call
from lodestar.http.transport import AsyncTransport
from lodestar.inputs import PictureLike
from lodestar.picture import PngFile
from lodestar.progress import Show
from lodestar.resources.awaiting import AsyncEmbeddings, AsyncJobs, AsyncUploads
from lodestar.resources.nights import AsyncNights


class AsyncClient:
    """As ``Client``, for ``await``.

    Every method raises a ``ClientError``: ServerUnreachableError, or an ApiError for what the server refuses. A call
    that meets a passing error is tried again as the server asks; a job is never made twice by that.

    Attributes:
        jobs: gets, lists, follows, cancels and deletes jobs.
        uploads: keeps pictures that many requests name.
        embeddings: makes and fetches aesthetic embeddings.
        nights: begins and follows nights: candidates until a time is over, of which the best are kept.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: address of the service; ``LODESTAR_URL`` if None, else this machine's.
            key: sent with every request, if the service wants one; ``LODESTAR_KEY`` if None.
            timeout_s: how long the server may take for an answer, or for a part of it.
            retries: further tries of a call that meets a passing error.
            sleep: waits between two tries or looks; ``asyncio.sleep`` if None.
        """
        self._transport = AsyncTransport(url, key, timeout_s, retries, sleep)
        self.url = self._transport.url
        self.jobs = AsyncJobs(self._transport)
        self.uploads = AsyncUploads(self._transport)
        self.embeddings = AsyncEmbeddings(self._transport)
        self.nights = AsyncNights(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.http.aclose()

    async def generate(
        self,
        prompt: Prompt | Sequence[Prompt],
        *,
        progress: bool | Show | None = None,
        **fields: Any,
    ) -> AsyncGeneration:
        """Submit one job for each prompt; iterate with ``async for`` over the result to wait for the pictures.

        Args:
            prompt: or several; or a whole request, or several.
            progress: None shows it in a notebook and in a terminal, True everywhere, False nowhere; or a function that
                is called with the job at each look.
            fields: of the request, see GenerateRequest. ``guidance`` may be a preset's name, or True. A picture in a
                field may be a path, bytes, an image or an array.
        """
        jobs: list[Job] = []
        try:
            for request in calls.requests_of(prompt, fields):
                jobs.append(await self.submit(request))
        except ClientError:
            # All of them or none: nobody would know of the first ones.
            for job in jobs:
                with suppress(ClientError):
                    await self.jobs.cancel(job.id)
            raise
        return AsyncGeneration(self._transport, jobs, progress)

    async def submit(self, prompt: Prompt, **fields: Any) -> Job:
        """Queue a job and wait for nothing; the job with its seed and every default filled in."""
        return await self._transport.run(calls.submit(calls.request_of(prompt, fields)))

    async def quote(self, prompt: Prompt, **fields: Any) -> dict[str, Any]:
        """What a job of these fields would cost, as in ``POST /v1/quote``; nothing is submitted."""
        return await self._transport.run(calls.quote_of(calls.request_of(prompt, fields)))

    async def detect(self, picture: PictureLike, preprocess: str | None = None, **fields: Any) -> PngFile:
        """The map that a control would read of a picture, as in ``POST /v1/controls/detect``; no job is made.

        Args:
            picture: a path, bytes, an image or an array; or a text that names one as requests do.
            preprocess: what makes the map, such as ``canny``; None for that of the control ``model``.
            fields: of the map, see MapRequest: ``model``, ``width``, ``height``, ``seed`` and what it is made with.
        """
        return await self._transport.run(bringing.detect(picture, preprocess, fields))

    async def score(
        self,
        pictures: PictureLike | Sequence[PictureLike],
        *,
        prompt: str | None = None,
        clip: str | None = None,
    ) -> Scores:
        """The similarity of pictures to a prompt, if there is one, and their aesthetic scores, in their order."""
        job = await self._transport.run(bringing.score(pictures, prompt, clip))
        return scores_of(await self.jobs.wait(job.id))

    async def search(
        self,
        query: str | None = None,
        *,
        picture: PictureLike = None,
        aesthetic_score: int | None = None,
        aesthetic_weight: float | None = None,
        limit: int = 20,
    ) -> Hits:
        """The kept pictures that are most similar to a text or to a picture, nearest first.

        Args:
            query: describes the pictures; or None.
            picture: they should be like this one, or like ``JOB/INDEX``.
            aesthetic_score: prefer pictures that people would rate so, from 0 to 9.
            aesthetic_weight: how far the query is moved towards them; the server's default if None.
            limit: pictures at most, up to 200.

        Raises:
            InvalidRequestError: neither a text nor a picture is given, or both.
        """
        moved = calls.given(aesthetic_score=aesthetic_score, aesthetic_weight=aesthetic_weight, limit=limit)
        return await self._transport.run(bringing.search(query, picture, moved))

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that a request may name, with their limits and defaults; the default one first."""
        return await self._transport.run(calls.list_models())

    async def adapters(self) -> tuple[AdapterInfo, ...]:
        """The adapters (LoRA) that a request may name, with the models that they are made for."""
        return await self._transport.run(calls.list_adapters())

    async def textual_inversions(self) -> tuple[TextualInversionInfo, ...]:
        """The textual inversions, with the words that stand for them in prompts."""
        return await self._transport.run(calls.list_inversions())

    async def controls(self) -> tuple[ControlInfo, ...]:
        """The ControlNets that a request may name, with the models that they are made for."""
        return await self._transport.run(calls.list_controls())

    async def image_prompts(self) -> tuple[ImagePromptInfo, ...]:
        """The adapters for image prompts (IP-Adapter) that a request may name, with the models that they are for."""
        return await self._transport.run(calls.list_image_prompts())

    async def workers(self) -> tuple[WorkerInfo, ...]:
        """The workers that are alive; with keys, an operator's is needed."""
        return await self._transport.run(calls.list_workers())

    async def drain(self, worker: str) -> WorkerInfo:
        """Have a worker finish its jobs and take no other, until it is resumed or its process ends."""
        return await self._transport.run(calls.change_worker(worker, "drain"))

    async def resume(self, worker: str) -> WorkerInfo:
        """Have a drained worker take jobs again."""
        return await self._transport.run(calls.change_worker(worker, "resume"))

    async def queue(self) -> QueueInfo:
        """The numbers of jobs and workers."""
        return await self._transport.run(calls.get_queue())

    async def usage(self, month: str | None = None) -> dict[str, Any]:
        """What was used in a month (``2026-11``; this one if None) and is left, as in ``GET /v1/usage``."""
        return await self._transport.run(calls.described("/v1/usage", calls.given(month=month)))

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any other request, with the options of httpx; its answer, which is a success."""
        repeatable = method.upper() in {"GET", "HEAD", "PUT", "DELETE"}
        return await self._transport.run(calls.raw(Call(method, path, options, repeatable)))
