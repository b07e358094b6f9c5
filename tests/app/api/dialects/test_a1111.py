"""The unmodified ``webuiapi`` client against the service."""

import base64
import io
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import webuiapi
from fastapi import FastAPI
from PIL import Image

from app.api.main import create_app
from app.api.settings import ApiSettings
from jobs.errors import OutOfMemoryError
from jobs.queue.queue import JobQueue
from jobs.requests.objectives import TextObjective
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.request import resolve
from jobs.status.job import Job, JobStatus
from tests.app.api.dialects.conftest import BusyWorker, FirstJob
from tests.app.conftest import serving
from tests.app.played_worker import PlayedWorker
from tests.waiting import until

APPLE = {"prompt": "a red apple", "width": 64, "height": 64}
GUIDANCE = "CLIP guidance"


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[webuiapi.WebUIApi]:
    """A client that closes its connections at the end, for which it has no method."""
    address = httpx.URL(url)
    client = webuiapi.WebUIApi(host=address.host, port=address.port, **options)
    with client.session:
        yield client


@pytest.fixture
def client(url: str) -> Iterator[webuiapi.WebUIApi]:
    with client_of(url) as client:
        yield client


@pytest.fixture
def requested(
    client: webuiapi.WebUIApi, working: None, first_job: FirstJob
) -> Callable[..., ResolvedRequest]:
    """Make a picture; the native request that its call came to."""

    def generate(**fields: Any) -> ResolvedRequest:
        client.txt2img(**{**APPLE, **fields})
        return first_job().generation

    return generate


def test_a_prompt_becomes_pictures_with_everything_about_them(
    client: webuiapi.WebUIApi, working: None
) -> None:
    result = client.txt2img(**APPLE, negative_prompt="blue", seed=7, batch_size=2, n_iter=2, steps=9)
    assert [picture.size for picture in result.images] == [(64, 64)] * 4
    assert [picture.info["parameters"] for picture in result.images] == result.info["infotexts"]
    info = result.info
    assert (info["seed"], info["all_seeds"]) == (7, [7, 8, 9, 10])
    assert (info["prompt"], info["negative_prompt"], info["steps"]) == ("a red apple", "blue", 9)
    assert (info["width"], info["height"], info["sampler_name"]) == (64, 64, "Euler a")
    assert info["sd_model_name"] == "pocket"
    assert all(text.startswith("a red apple\nNegative prompt: blue\n") for text in info["infotexts"])
    assert result.parameters["batch_size"] == 2


def test_fields_mean_what_they_mean_natively(requested: Callable[..., ResolvedRequest]) -> None:
    request = requested(negative_prompt="blue", seed=7, steps=9, cfg_scale=3.5, width=96, n_iter=3)
    assert (request.prompt, request.negative_prompt, request.seed) == ("a red apple", "blue", 7)
    assert (request.steps, request.cfg_scale, request.num_images) == (9, 3.5, 3)
    assert (request.width, request.height, request.guidance) == (96, 64, None)


def test_what_is_left_out_has_the_models_default(url: str, working: None, first_job: FirstJob) -> None:
    answer = httpx.post(f"{url}/sdapi/v1/txt2img", json={"prompt": "a red apple"}, timeout=60)
    assert answer.status_code == 200
    request = first_job().generation
    assert (request.width, request.steps, request.cfg_scale, request.sampler) == (
        64,
        25,
        4.0,
        SamplerName.DDIM,
    )


@pytest.mark.parametrize(
    ("name", "scheduler", "sampler", "schedule"),
    [
        ("Euler a", None, "euler_ancestral", "default"),
        ("Euler", "Automatic", "euler", "default"),
        ("Euler", "karras", "euler", "karras"),
        ("Euler Karras", None, "euler", "karras"),
        ("Euler Karras", "Exponential", "euler", "karras"),
        ("DDIM", "Karras", "ddim", "default"),
        ("PLMS Karras", None, "pndm", "default"),
        ("DPM++ 2M", None, "dpmpp_2m", "default"),
        ("DPM++ 2M", "Exponential", "dpmpp_2m", "exponential"),
        ("DPM++ 2M SDE Karras", None, "dpmpp_2m_sde", "karras"),
        ("k_dpmpp_2m", None, "dpmpp_2m", "default"),
        ("k_dpmpp_2m_ka", None, "dpmpp_2m", "karras"),
        ("dpmpp_2m_karras", None, "dpmpp_2m", "karras"),
        ("euler A", None, "euler_ancestral", "default"),
        ("DPM++ SDE Karras", None, "dpmpp_sde", "karras"),  # Dify's default
        ("DPM++ 2S a", "sgm_uniform", "dpmpp_2s_ancestral", "sgm_uniform"),
        ("DPM++ 3M SDE Exponential", None, "dpmpp_3m_sde", "exponential"),
        ("DPM++ 2M SDE Heun", "Align Your Steps", "dpmpp_2m_sde_heun", "ays"),
        ("DPM2 a Karras", None, "dpm2_ancestral", "karras"),
        ("k_dpm_2", "align_your_steps", "dpm2", "ays"),
        ("Euler SGM Uniform", None, "euler", "sgm_uniform"),
        ("Euler", "normal", "euler", "normal"),
        ("LCM", "Simple", "lcm", "default"),
    ],
)
def test_samplers_and_schedules_are_known_by_their_names_there(
    requested: Callable[..., ResolvedRequest], name: str, scheduler: str | None, sampler: str, schedule: str
) -> None:
    request = requested(sampler_name=name, scheduler=scheduler)
    assert (request.sampler, request.schedule) == (sampler, schedule)


def test_every_listed_sampler_and_schedule_is_taken(
    client: webuiapi.WebUIApi, requested: Callable[..., ResolvedRequest]
) -> None:
    found = {requested(sampler_name=name).sampler for name in client.util_get_sampler_names()}
    assert found == set(SamplerName)
    for name in client.util_get_scheduler_names():
        requested(scheduler=name)


@pytest.mark.parametrize(
    "args",
    [
        [{"preset": "laion", "scale": 0.2, "cutouts": 8, "prompt": "an apple"}],
        {"preset": "laion", "scale": 0.2, "cutouts": 8, "prompt": "an apple"},
        [True, "laion", None, "an apple", 0.2, 8],
    ],
    ids=["object", "bare object", "positions"],
)
def test_guidance_is_a_script_that_is_always_on(
    requested: Callable[..., ResolvedRequest], args: object
) -> None:
    guidance = requested(alwayson_scripts={GUIDANCE: {"args": args}}).guidance
    assert guidance is not None
    assert (guidance.scale, guidance.cutouts) == (0.2, 8)
    assert guidance.objectives == (TextObjective(type="text", text="an apple", clip="pocket-m"),)
    assert (guidance.preset, guidance.clip) == ("laion", "pocket-m")


def test_the_script_without_arguments_guides_by_default_and_can_be_off(
    requested: Callable[..., ResolvedRequest],
) -> None:
    assert requested(alwayson_scripts={GUIDANCE.lower(): {"args": []}}).guidance is not None
    assert requested(alwayson_scripts={GUIDANCE: {"args": [False]}}).guidance is None


def test_the_described_arguments_of_the_script_are_its_defaults(
    url: str, requested: Callable[..., ResolvedRequest]
) -> None:
    script, for_pictures = httpx.get(f"{url}/sdapi/v1/script-info").json()
    assert for_pictures == {**script, "is_img2img": True}
    assert (script["name"], script["is_alwayson"]) == (GUIDANCE.lower(), True)
    arguments = {argument["label"]: argument for argument in script["args"]}
    assert list(arguments)[:6] == ["enabled", "preset", "clip", "prompt", "scale", "cutouts"]
    assert {"objectives", "stride", "decoder"} < set(arguments)
    assert (arguments["cutouts"]["minimum"], arguments["cutouts"]["maximum"]) == (1, 256)
    values = [argument["value"] for argument in script["args"]]
    described = requested(alwayson_scripts={GUIDANCE: {"args": values}}).guidance
    assert described == requested(alwayson_scripts={GUIDANCE: {"args": []}}).guidance


def test_a_caller_chooses_the_model_of_its_own_requests(
    url: str, queue: JobQueue, working: None, first_job: FirstJob
) -> None:
    with (
        client_of(url, username="ann", password="1") as ann,
        client_of(url, username="bob", password="2") as bob,
    ):
        assert [name.partition(".")[0] for name in ann.util_get_model_names()] == ["big", "pocket"]
        ann.util_set_model("big")
        current = ann.util_get_current_model(), bob.util_get_current_model()
        assert [name.partition(".")[0] for name in current] == ["big", "pocket"]
        ann.txt2img(prompt="a red apple")
        assert first_job().request.model == "big"
        ann.txt2img(**APPLE, override_settings={"sd_model_checkpoint": "pocket"})
        assert first_job().request.model == "pocket"
        bob.txt2img(**APPLE)
        assert first_job().request.model == "pocket"
        options = ann.get_options()
        assert ann.set_options(options) is None
        assert ann.get_options() == options
        assert ann.set_options({"sd_model_checkpoint": "sdxl"})["error"] == "unknown_model"


def test_progress_and_interruption_are_the_callers_own(
    url: str, queue: JobQueue, worker: PlayedWorker, first_job: FirstJob
) -> None:
    with (
        ThreadPoolExecutor() as threads,
        client_of(url, username="ann", password="1") as ann,
        client_of(url, username="bob", password="2") as bob,
    ):
        picture = threads.submit(ann.txt2img, **APPLE)
        until(lambda: ann.get_progress()["state"]["job_count"] == 1)
        assert ann.get_progress()["progress"] == 0
        job = first_job()
        lease = worker.claim(job.id)
        worker.report(lease, step=5, steps=20, eta_s=3)
        assert bob.get_progress()["state"]["job_count"] == 0
        bob.util_wait_for_ready()
        progress = ann.get_progress()
        assert (progress["progress"], progress["eta_relative"]) == (0.25, 3)
        assert (progress["state"]["sampling_step"], progress["state"]["sampling_steps"]) == (5, 20)

        assert bob.interrupt() == {}
        assert not queue.get(job.id).cancel_requested
        assert ann.interrupt() == {}
        assert queue.get(job.id).cancel_requested
        assert ann.get_progress()["state"]["interrupted"]
        worker.leases.cancel(lease)
        result = picture.result(timeout=60)
        assert (result.images, result.info["interrupted"]) == ([], True)
        assert ann.get_progress()["state"]["job_count"] == 0


def test_the_oldest_of_several_jobs_is_meant_unless_a_task_is_named(url: str, queue: JobQueue) -> None:
    with ThreadPoolExecutor() as threads, httpx.Client(base_url=f"{url}/sdapi/v1", timeout=60) as client:
        calls = []

        def submit(name: str) -> str:
            body = {"prompt": name, "force_task_id": name}
            calls.append(threads.submit(client.post, "/txt2img", json=body))
            until(lambda: bool(_task_of(client, name)))
            return _task_of(client, name)

        jobs = [submit(name) for name in ("one", "two", "three")]
        assert client.get("/progress").json()["state"]["job"] == jobs[0]
        client.post("/interrupt", params={"force_task_id": "two"})
        assert queue.get(jobs[1]).status is JobStatus.CANCELED
        client.post("/interrupt")
        assert queue.get(jobs[0]).status is JobStatus.CANCELED
        assert client.get("/progress").json()["state"]["job"] == jobs[2]
        client.post("/skip")
        assert queue.get(jobs[2]).status is JobStatus.CANCELED
        assert [call.result().json()["images"] for call in calls] == [[], [], []]


def _task_of(client: httpx.Client, task: str) -> str:
    """Id of the job that the caller calls so; empty if there is none yet."""
    return str(client.get("/progress", params={"force_task_id": task}).json()["state"]["job"])


def test_one_picture_of_several_cannot_be_skipped(
    client: webuiapi.WebUIApi, queue: JobQueue, first_job: FirstJob
) -> None:
    assert client.skip() == {}
    with ThreadPoolExecutor() as threads:
        call = threads.submit(client.txt2img, **APPLE, n_iter=2)
        job = first_job()
        until(lambda: client.get_progress()["state"]["job"] == job.id)
        assert client.skip()["error"] == "not_supported"
        assert queue.get(job.id).status is JobStatus.QUEUED
        client.interrupt()
        call.result(timeout=60)


def test_the_same_task_gives_the_same_pictures(url: str, queue: JobQueue, working: None) -> None:
    def generate(**headers: str) -> Any:
        body = {"prompt": "a red apple", "force_task_id": "task(1)"}
        return httpx.post(f"{url}/sdapi/v1/txt2img", json=body, headers=headers, timeout=60).json()["images"]

    assert generate() == generate()
    assert len(queue.list().data) == 1
    # Another caller may have called something else so.
    generate(Authorization="Basic b3RoZXI6MQ==")
    assert len(queue.list().data) == 2


def test_pictures_can_be_left_out_of_the_answer(client: webuiapi.WebUIApi, working: None) -> None:
    result = client.txt2img(**APPLE, send_images=False)
    assert (result.images, len(result.info["all_seeds"])) == ([], 1)


def test_every_listing_of_the_client_is_answered(client: webuiapi.WebUIApi) -> None:
    assert [model["model_name"] for model in client.get_sd_models()] == ["pocket", "big"]
    assert client.get_scripts() == {"txt2img": [GUIDANCE.lower()], "img2img": [GUIDANCE.lower()]}
    for empty in (
        client.get_sd_vae,
        client.get_loras,
        client.get_hypernetworks,
        client.get_face_restorers,
        client.get_prompt_styles,
    ):
        assert empty() == []
    assert client.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert client.get_cmd_flags() == {}
    assert client.get_memory()["ram"]["total"] > client.get_memory()["ram"]["free"] > 0
    assert client.refresh_checkpoints() is None
    assert client.get_progress()["progress"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "error", "name"),
    [
        ({"prompt": "a " * 2001}, 422, "invalid_request", "prompt"),
        ({"steps": 1000}, 422, "invalid_request", "steps"),
        ({"width": 500}, 422, "invalid_request", "width"),
        ({"batch_size": 5, "n_iter": 4}, 422, "invalid_request", "n_iter"),
        ({"batch_size": 99}, 422, "invalid_request", "batch_size"),
        ({"sampler_name": "none such"}, 422, "invalid_request", "sampler_name"),
        ({"override_settings": {"sd_model_checkpoint": "sdxl"}}, 422, "unknown_model", "sd_model_checkpoint"),
        (
            {"alwayson_scripts": {"ADetailer": {"args": [{"ad_model": "face"}]}}},
            422,
            "invalid_request",
            "ADetailer",
        ),
        ({"override_settings": {"live_previews_enable": 1}}, 422, "invalid_request", "live_previews_enable"),
        ({"alwayson_scripts": {GUIDANCE: {"args": 3}}}, 422, "invalid_request", GUIDANCE),
        ({"alwayson_scripts": {GUIDANCE: {"args": [{"cutout": 3}]}}}, 422, "invalid_request", "cutout"),
        ({"alwayson_scripts": {GUIDANCE: {"args": [{"cutouts": 0}]}}}, 422, "invalid_request", "cutouts"),
        ({"alwayson_scripts": {GUIDANCE: {"args": [{"clip": "x"}]}}}, 422, "unknown_model", "clip"),
        ({"enable_hr": True, "hr_prompt": "a pear"}, 501, "not_supported", "hr_prompt"),
        ({"restore_faces": True}, 501, "not_supported", "restore_faces"),
        ({"tiling": True}, 501, "not_supported", "tiling"),
        ({"styles": ["film"]}, 501, "not_supported", "styles"),
        ({"seed_resize_from_h": 64}, 501, "not_supported", "seed_resize_from_h"),
        ({"script_name": "x/y/z plot"}, 501, "not_supported", "script_name"),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(
    client: webuiapi.WebUIApi, fields: dict[str, Any], status: int, error: str, name: str
) -> None:
    code, answer = failure(lambda: client.txt2img(**{**APPLE, **fields}))
    assert (code, answer["error"]) == (status, error)
    assert name in answer["errors"]
    assert answer["detail"]


def test_what_is_wrong_with_the_whole_body_names_no_field(client: webuiapi.WebUIApi) -> None:
    many: dict[str, Any] = {"alwayson_scripts": {GUIDANCE: {"args": [[]] * 20_000}}}
    code, answer = failure(lambda: client.txt2img(**{**APPLE, **many}))
    assert (code, answer["error"]) == (422, "invalid_request")
    assert answer["errors"] == answer["detail"] == "it has more than 10000 lists and objects"


def failure(call: Callable[[], object]) -> tuple[int, dict[str, str]]:
    """The status and the body with which a call fails, as the client raises them."""
    with pytest.raises(RuntimeError) as caught:
        call()
    status, text = caught.value.args
    answer = json.loads(text)
    assert answer.keys() == {"error", "detail", "body", "errors"}
    return status, answer


def test_a_failed_job_a_full_queue_and_a_lost_redis_are_told_in_the_same_words(
    client: webuiapi.WebUIApi,
    queue: JobQueue,
    worker: PlayedWorker,
    settings: ApiSettings,
    without_redis: ApiSettings,
    app: FastAPI,
) -> None:
    def fail(job_id: str) -> None:
        worker.fail(job_id, OutOfMemoryError("it does not fit"))

    def generate() -> object:
        return client.txt2img(**APPLE)

    with BusyWorker(queue, fail):
        code, answer = failure(generate)
    assert (code, answer["error"]) == (500, "job_failed")
    assert "out_of_memory" in answer["detail"]

    resolved = resolve(GenerateRequest(prompt="a red apple"), app.state.services.catalog)
    for _ in range(settings.max_queued):
        queue.submit(resolved)
    code, answer = failure(generate)
    assert (code, answer["error"]) == (429, "queue_full")

    away = create_app(without_redis)
    with serving(away) as url, client_of(url) as hopeful:
        code, answer = failure(lambda: hopeful.txt2img(**APPLE))
        assert (code, answer["error"]) == (503, "queue_unavailable")
    assert httpx.get(f"{client.baseurl}/nothing").json()["error"] == "not_found"


def test_who_hangs_up_takes_the_job_along(
    url: str, first_job: FirstJob, ending: Callable[[str], Job]
) -> None:
    address, content = httpx.URL(url), json.dumps({"prompt": "a red apple"})
    lines = ["POST /sdapi/v1/txt2img HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    request = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", content])
    with socket.create_connection((address.host, address.port or 80)) as connection:
        connection.sendall(request.encode())
        job = first_job()
    assert ending(job.id).status is JobStatus.CANCELED


def test_the_pictures_are_the_stored_files(url: str, working: None, first_job: FirstJob) -> None:
    answer = httpx.post(f"{url}/sdapi/v1/txt2img", json={"prompt": "a red apple"}, timeout=60).json()
    png = base64.b64decode(answer["images"][0])
    assert png == httpx.get(f"{url}/v1/jobs/{first_job().id}/images/0").content
    assert Image.open(io.BytesIO(png)).format == "PNG"
