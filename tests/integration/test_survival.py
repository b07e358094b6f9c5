"""`kill -9` of any part: what was accepted is done, once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from jobs.errors import LodestarError
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.status.job import JobStatus
from lodestar.client import Client
from tests.integration.stack import LONG, PATIENCE_S, Stack
from tests.waiting import until

SHORT = GenerateRequest(prompt="a red apple", seed=7, steps=10, guidance=Guidance(cutouts=8))


def picture_of(stack: Stack, request: GenerateRequest) -> bytes:
    return stack.client.jobs.image(stack.finish(stack.client.submit(request).id).id, 0)


def test_a_job_whose_worker_is_killed_runs_again_on_a_new_one(stack: Stack) -> None:
    before = picture_of(stack, SHORT)
    job_id = stack.start_job(LONG)
    first_worker = stack.client.jobs.get(job_id).worker
    stack.kill("worker")
    job = stack.finish(job_id)
    assert job.attempts == 2
    assert job.worker != first_worker
    assert [image.seed for image in job.images] == [7]
    assert picture_of(stack, SHORT) == before  # the new worker draws as the old one did


def test_a_worker_that_stands_still_beyond_its_lease_publishes_nothing_and_goes_on(stack: Stack) -> None:
    job_id = stack.start_job(LONG)
    worker = stack.part("worker")
    worker.suspend()
    until(lambda: stack.client.jobs.get(job_id).status is JobStatus.QUEUED, within_s=60)
    worker.resume()
    job = stack.finish(job_id)
    assert (job.attempts, job.starts) == (2, 2)
    (folder,) = (stack.data_dir / "artifacts" / job_id).iterdir()
    assert folder.name.startswith("2-")


def test_a_job_goes_on_while_valkey_and_the_api_are_killed(stack: Stack) -> None:
    job_id = stack.start_job(LONG)
    stack.kill("valkey")
    stack.kill("api")
    assert stack.finish(job_id).attempts == 1


def test_nothing_acknowledged_is_lost_when_valkey_is_killed(stack: Stack) -> None:
    stack.start_job(LONG)  # and keeps the worker from the others
    enough, killed = threading.Event(), threading.Event()
    acknowledged: list[str] = []

    def submit_many() -> None:
        with Client(stack.url, retries=0) as client:
            while not killed.is_set():
                with suppress(LodestarError):
                    acknowledged.append(client.submit(GenerateRequest(prompt="a red apple", steps=250)).id)
                if len(acknowledged) >= 100:
                    enough.set()

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(submit_many) for _ in range(4)]
        try:
            assert enough.wait(PATIENCE_S)
            stack.kill("valkey")
        finally:
            killed.set()
    for writer in writers:
        writer.result()
    until(stack.is_ready, within_s=PATIENCE_S)
    found = [stack.client.jobs.get(job_id) for job_id in acknowledged]
    assert len(found) >= 100
    assert {job.status for job in found} <= {JobStatus.QUEUED, JobStatus.RUNNING}
