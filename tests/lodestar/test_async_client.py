"""The client that awaits does what the other does."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.api.main import create_app
from app.api.settings import ApiSettings
from app.stack.preflight import free_port
from jobs.errors import DeadlineExceededError
from jobs.queue.queue import JobQueue
from jobs.status.job import Job, JobStatus
from lodestar import AsyncClient, AsyncGeneration, Client, Generation
from lodestar.errors import JobCanceledError, JobFailedError, NotFoundError, ServerUnreachableError
from lodestar.resources import awaiting, blocking, nights
from tests.app.cli.conftest import settling
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker


@pytest.fixture
def address(settings: ApiSettings) -> Iterator[str]:
    """Address of an API."""
    with serving(create_app(settings)) as url:
        yield url


def with_client(url: str, use: Callable[[AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, **options) as client:
            return await use(client)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("blocks", "awaits"),
    [
        (Client, AsyncClient),
        (Generation, AsyncGeneration),
        (blocking.Jobs, awaiting.AsyncJobs),
        (blocking.Uploads, awaiting.AsyncUploads),
        (blocking.Embeddings, awaiting.AsyncEmbeddings),
        (nights.Nights, nights.AsyncNights),
    ],
)
def test_both_clients_have_the_same_methods_and_parameters(blocks: type, awaits: type) -> None:
    def parameters(owner: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(owner, inspect.isfunction)
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in methods
            if not name.startswith("_") or name == "__init__"
        }

    assert parameters(blocks) == parameters(awaits)


def test_pictures_come_as_they_are_drawn(address: str, queue: JobQueue, worker: PlayedWorker) -> None:
    seen: list[Job] = []

    async def use(client: AsyncClient) -> list[int]:
        generation = await client.generate("a fox", seed=7, num_images=2, progress=seen.append)
        worker.succeed(generation.jobs[0].id)
        seeds = [picture.seed async for picture in generation]
        assert [picture.seed async for picture in generation] == seeds
        return seeds

    assert with_client(address, use) == [7, 8]
    assert seen[-1].status is JobStatus.SUCCEEDED


def test_many_jobs_are_waited_for_at_once(address: str, queue: JobQueue, worker: PlayedWorker) -> None:
    async def use(client: AsyncClient) -> list[Job]:
        jobs = [await client.submit("a fox", seed=seed) for seed in range(3)]
        waits = [asyncio.create_task(client.jobs.wait(job.id)) for job in jobs]
        for job in reversed(jobs):
            await asyncio.to_thread(worker.succeed, job.id)
        return await asyncio.gather(*waits)

    jobs = with_client(address, use)
    assert [job.generation.seed for job in jobs] == [0, 1, 2]
    assert {job.status for job in jobs} == {JobStatus.SUCCEEDED}


def test_the_events_of_a_job_end_with_it(address: str, worker: PlayedWorker) -> None:
    async def use(client: AsyncClient) -> list[str]:
        job = await client.submit("a fox")
        await asyncio.to_thread(worker.succeed, job.id)
        return [event.name async for event in client.jobs.events(job.id)]

    assert with_client(address, use) == ["snapshot", "done"]


def test_a_night_is_begun_followed_and_deleted(address: str, worker: PlayedWorker) -> None:
    async def use(client: AsyncClient) -> None:
        night = await client.nights.begin("a fox", hours=1, keep=1, upscale=False, seed=7)
        assert [each.id for each in await client.nights.list()] == [night.id]
        while (await client.nights.get(night.id)).made == 0:
            worker.draw(0.5)
            await asyncio.sleep(0.05)
        await client.nights.finish(night.id)
        ended = await client.nights.wait(night.id)
        assert (ended.status, ended.num_kept) == ("succeeded", 1)
        assert [picture.seed async for picture in client.nights.pictures(ended)] == [ended.kept[0].seed]
        await client.nights.cancel(night.id)
        await client.nights.delete(night.id)
        assert await client.nights.list() == ()

    with_client(address, use)


def test_its_errors_are_the_same(address: str, queue: JobQueue, worker: PlayedWorker) -> None:
    async def unknown(client: AsyncClient) -> None:
        with pytest.raises(NotFoundError) as raised:
            await client.jobs.get("nope")
        assert raised.value.kind == "unknown_job"

    async def failing(client: AsyncClient) -> None:
        with pytest.raises(JobFailedError, match="it took too long"):
            await (await client.generate("a fox")).pictures()

    async def canceled(client: AsyncClient) -> None:
        generation = await client.generate("a fox")
        await generation.cancel()
        with pytest.raises(JobCanceledError):
            await generation.pictures()

    with_client(address, unknown)
    with settling(queue, lambda job_id: worker.fail(job_id, DeadlineExceededError("it took too long"))):
        with_client(address, failing)
    with_client(address, canceled)


def test_a_passing_error_is_waited_out(address: str) -> None:
    waits: list[float] = []
    answers = iter([httpx.Response(503, headers={"Retry-After": "2"})])

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def use(client: AsyncClient) -> int:
        transport = client._transport.http._transport

        class Away(httpx.AsyncBaseTransport):
            """Unavailable once."""

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                return next(answers, None) or await transport.handle_async_request(request)

            async def aclose(self) -> None:
                await transport.aclose()

        client._transport.http._mounts.clear()
        client._transport.http._transport = Away()
        return len(await client.models())

    assert with_client(address, use, sleep=sleep) == 2
    assert waits == [2.0]


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    async def use(client: AsyncClient) -> None:
        with pytest.raises(ServerUnreachableError, match="there is no server"):
            await client.queue()

    with_client(f"http://127.0.0.1:{free_port('127.0.0.1')}", use)
