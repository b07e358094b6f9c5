"""Following a job that a real worker does."""

import io

import httpx
import pytest
from PIL import Image

from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.status.job import JobStatus
from tests.app.sse import Reader
from tests.integration.stack import LONG, PATIENCE_S, Stack
from tests.waiting import until


def test_a_reader_that_reconnects_twenty_times_sees_every_event_exactly_once(stack: Stack) -> None:
    request = GenerateRequest(
        prompt="a red apple", seed=7, steps=60, preview_every_steps=1, guidance=Guidance(cutouts=4)
    )
    job_id = stack.client.submit(request).id
    with httpx.Client(base_url=stack.url, timeout=PATIENCE_S) as http:
        reader = Reader(http, f"/v1/jobs/{job_id}/events")
        for _ in range(21):
            reader.read(1)
        preview = next(message.data for message in reader.seen if message.event == "preview")
        with Image.open(io.BytesIO(http.get(preview["url"]).content)) as image:
            assert (image.format, image.size) == ("JPEG", (64, 64))
        reader.read()
        assert reader.names[-1] == "done"
        assert reader.seen[-1].data["status"] == "succeeded"
        whole = Reader(http, f"/v1/jobs/{job_id}/events?last_event_id=0-0")
        whole.read()
    ids = [message.id for message in whole.seen]
    assert whole.names[0] == "queued"
    first = ids.index(reader.seen[0].id)  # the snapshot stands for what was before it
    assert [message.id for message in reader.seen] == ids[first:]
    steps = [message.data["step"] for message in whole.seen if message.event == "progress"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60


def test_following_outlives_a_kill_of_the_api(stack: Stack) -> None:
    job_id = stack.start_job(LONG.model_copy(update={"preview_every_steps": 20}))
    with httpx.Client(base_url=stack.url, timeout=PATIENCE_S) as http:
        reader = Reader(http, f"/v1/jobs/{job_id}/events")
        reader.read(2)
        stack.kill("api")
        until(stack.is_ready, within_s=PATIENCE_S)
        reader.read()
        whole = Reader(http, f"/v1/jobs/{job_id}/events?last_event_id=0-0")
        whole.read()
    ids = [message.id for message in whole.seen]
    assert reader.names[-1] == "done"
    assert [message.id for message in reader.seen] == ids[ids.index(reader.seen[0].id) :]
    assert stack.client.jobs.get(job_id).attempts == 1


def test_a_client_that_hangs_up_frees_its_slot_and_no_other(stack: Stack) -> None:
    neighbour = stack.client.submit(LONG).id
    with httpx.Client(base_url=stack.url, timeout=1) as http, pytest.raises(httpx.ReadTimeout):
        http.post("/v1/images", params={"prompt": "a yellow taxi", "steps": 250, "num_images": 4})
    jobs = httpx.get(f"{stack.url}/v1/jobs").json()["data"]
    (left,) = [job["id"] for job in jobs if job["request"].get("prompt") == "a yellow taxi"][:1]
    until(lambda: stack.client.jobs.get(left).status is JobStatus.CANCELED, within_s=PATIENCE_S)
    assert stack.client.jobs.get(left).progress.fraction < 1
    assert not stack.client.jobs.get(neighbour).cancel_requested
    stack.finish(neighbour)


def test_a_picture_is_drawn_in_one_call(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.url}/v1/images", params={"prompt": "red apple", "steps": 5}, timeout=PATIENCE_S
    )
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (answer.status_code, image.format, image.size) == (200, "PNG", (64, 64))
