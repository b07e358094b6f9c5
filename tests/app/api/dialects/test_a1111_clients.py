"""What clients of A1111's API send and read, each as it does."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image
from redis import Redis
from starlette.testclient import TestClient

from app.api.dialects.a1111.request import TextToImage, to_native
from app.api.dialects.a1111.samplers import SUBSTITUTES
from jobs.catalog.catalog import Catalog
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.status.job import Job
from tests.app.api.dialects.test_a1111 import client_of
from tests.app.played_worker import PlayedWorker
from tests.jobs.queue.test_workers import worker as worker_info
from tests.waiting import until

API = "/sdapi/v1"
APPLE = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 3}


@pytest.fixture
def made(client: TestClient, working: None, queue: JobQueue) -> Any:
    """Send a ``txt2img`` body; the job and the ``info`` of its answer."""

    def make(**fields: Any) -> tuple[Job, dict[str, Any]]:
        answer = client.post(f"{API}/txt2img", json={**APPLE, **fields})
        assert answer.status_code == 200, answer.text
        return queue.list(limit=1).data[0], json.loads(answer.json()["info"])

    return make


SILLY_TAVERN = {
    "scheduler": "normal",
    "sampler_name": "Euler a",
    "cfg_scale": 7,
    "clip_skip": 1,
    "restore_faces": False,
}


@pytest.mark.parametrize("name", ["Uniform", "Polyexponential", "kl_optimal", "turbo"])
def test_a_schedule_that_is_not_known_counts_as_automatic_and_is_told(made: Any, name: str) -> None:
    job, info = made(**{**SILLY_TAVERN, "scheduler": name})
    assert (job.generation.sampler, job.generation.schedule) == ("euler_ancestral", "default")
    assert info["notes"] == [f"scheduler {name!r} is not known, so it counts as Automatic"]
    assert made(scheduler="Karras", sampler_name="DPM++ 2M")[1]["notes"] == []


@pytest.mark.parametrize("name", [*SUBSTITUTES, "DPM fast Karras", "dpm adaptive karras"])
def test_a_sampler_of_a1111s_that_is_not_served_has_a_substitute_and_is_told(made: Any, name: str) -> None:
    job, info = made(sampler_index=name)
    (note,) = info["notes"]
    assert note == f"sampler {name!r} is not served, so {info['sampler_name']} draws instead"
    assert job.generation.schedule == ("karras" if "arras" in name else "default")
    assert made(sampler_name="DPM++ 2M SDE Karras")[1]["notes"] == []


@pytest.mark.parametrize(
    "scripts",
    [
        {"ControlNet": {"args": []}},  # the npm client stable-diffusion-api always sends it
        {"ADetailer": {"args": [False]}, "controlnet": {"args": [{"enabled": False, "module": "canny"}]}},
        {"Refiner": {}},
        {"ControlNet": {"args": []}, "CLIP guidance": {"args": [True]}},
    ],
)
def test_a_script_that_asks_for_nothing_is_ignored(made: Any, scripts: dict[str, Any]) -> None:
    job, _ = made(alwayson_scripts=scripts)
    assert (job.generation.guidance is not None) == ("CLIP guidance" in scripts)


@pytest.mark.parametrize(
    ("asked", "drawn"), [((70, 100), (64, 96)), ((127, 64), (112, 64)), ((64, 64), (64, 64))]
)
def test_a_size_is_rounded_down_to_what_the_model_makes(
    made: Any, asked: tuple[int, int], drawn: tuple[int, int]
) -> None:
    _, info = made(width=asked[0], height=asked[1])
    assert (info["width"], info["height"]) == drawn


def test_a_prompt_may_be_long_or_empty(made: Any) -> None:
    long = "a red apple, " * 300
    assert made(prompt=long)[1]["prompt"] == long
    assert made(prompt="")[1]["prompt"] == ""


def test_options_stick(client: TestClient) -> None:
    """A1111's own ``options_write``."""
    before = client.get(f"{API}/options").json()["send_seed"]
    assert client.post(f"{API}/options", json={"send_seed": not before}).status_code == 200
    assert client.get(f"{API}/options").json()["send_seed"] == (not before)
    client.post(f"{API}/options", json={"send_seed": before})
    assert client.get(f"{API}/options").json()["send_seed"] == before


def test_options_are_the_callers_own_and_those_of_all_do_not_change(client: TestClient) -> None:
    everything = client.get(f"{API}/options").json()
    # Open WebUI reads all, changes one, and sends all.
    changed = {**everything, "show_progress_every_n_steps": 2, "sd_vae": "other", "unheard_of": [1]}
    assert client.post(f"{API}/options", json=changed).status_code == 200
    assert client.get(f"{API}/options").json() == {**everything, "show_progress_every_n_steps": 2}
    other = {"Authorization": "Basic b3RoZXI6MQ=="}
    assert client.get(f"{API}/options", headers=other).json() == everything


def test_a_clip_skip_counts_from_one_and_holds_for_the_caller(client: TestClient, made: Any) -> None:
    assert client.get(f"{API}/options").json()["CLIP_stop_at_last_layers"] == 1
    job, info = made(override_settings={"CLIP_stop_at_last_layers": 3})
    assert (job.generation.clip_skip, info["clip_skip"], info["notes"]) == (2, 3, [])
    assert "Clip skip: 3" in info["infotexts"][0]
    assert made()[0].generation.clip_skip == 0
    client.post(f"{API}/options", json={"CLIP_stop_at_last_layers": 2})
    assert client.get(f"{API}/options").json()["CLIP_stop_at_last_layers"] == 2
    assert made()[0].generation.clip_skip == 1


def test_the_field_of_sdnext_is_read_too_and_the_setting_comes_first(client: TestClient, made: Any) -> None:
    job, info = made(clip_skip=3)
    assert (job.generation.clip_skip, info["notes"]) == (2, [])
    settings = {"CLIP_stop_at_last_layers": 2}
    assert made(clip_skip=3, override_settings=settings)[0].generation.clip_skip == 1
    assert made(clip_skip=0)[0].generation.clip_skip == 0
    for wrong in (13, -1, 1.5, "two"):
        answer = client.post(f"{API}/txt2img", json={**APPLE, "clip_skip": wrong})
        assert answer.status_code == 422
        assert "clip_skip" in answer.text


@pytest.mark.parametrize(
    "option",
    [
        {"CLIP_stop_at_last_layers": 0},
        {"CLIP_stop_at_last_layers": 13},
        {"send_seed": "yes"},
        {"show_progress_every_n_steps": True},
        {"show_progress_every_n_steps": 251},
    ],
)
def test_a_wrong_option_is_refused_whole(client: TestClient, option: dict[str, Any]) -> None:
    answer = client.post(f"{API}/options", json={"sd_model_checkpoint": "big", **option})
    assert (answer.status_code, answer.json()["errors"].split(":")[0]) == (422, next(iter(option)))
    assert client.get(f"{API}/options").json()["sd_model_checkpoint"].startswith("pocket")


def test_a_model_has_a_title_with_its_hash_and_is_known_by_any_part_of_it(
    client: TestClient, catalog: Catalog
) -> None:
    for model in client.get(f"{API}/sd-models").json():
        assert model["title"] == f"{model['filename']} [{model['hash']}]"
        for name in (model["title"], model["model_name"], model["hash"], model["filename"]):
            assert client.post(f"{API}/options", json={"sd_model_checkpoint": name}).status_code == 200
            options = client.get(f"{API}/options").json()
            assert (options["sd_model_checkpoint"], options["sd_checkpoint_hash"]) == (
                model["title"],
                model["hash"],
            )
    hashes = {card.short_hash for card in catalog.models}
    assert len(hashes) == len(catalog.models)


def test_a_pinned_checkpoint_has_a1111s_own_hash(catalog: Catalog) -> None:
    digest = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"
    card = catalog.models[0].model_copy(
        update={"path": "x/sd15.safetensors", "sha256": {"sd15.safetensors": digest}}
    )
    card = type(card).model_validate(card.model_dump())
    assert card.short_hash == "6ce0161689"


@pytest.mark.parametrize(
    "path",
    [
        "unload-checkpoint",
        "reload-checkpoint",
        "refresh-checkpoints",
        "refresh-loras",
        "refresh-vae",
        "refresh-embeddings",
    ],
)
def test_upkeep_is_a_success_that_does_nothing(client: TestClient, path: str) -> None:
    answer = client.post(f"{API}/{path}", json={})
    assert (answer.status_code, answer.json()) == (200, None)


def test_what_clients_ask_before_they_start_is_answered(client: TestClient, url: str) -> None:
    assert client.get("/internal/ping").json() == {}
    assert client.get("/app_id").json()["app_id"] > 0
    assert client.get(f"{API}/sd-modules").json() == []
    with client_of(url) as api:
        assert api.controlnet_model_list() == []
        assert api.controlnet_module_list()[:2] == ["none", "canny"]


def test_memory_is_that_of_the_machine_and_of_the_workers(client: TestClient, redis: Redis) -> None:
    assert client.get(f"{API}/memory").json()["cuda"].keys() == {"error"}
    sizes = {"memory_used_bytes": 3 << 30, "memory_total_bytes": 8 << 30}
    for name in ("a", "b"):
        WorkerRegistry(redis).announce(worker_info(name).model_copy(update=sizes))
    memory = client.get(f"{API}/memory").json()
    assert memory["cuda"]["system"] == {"free": 10 << 30, "used": 6 << 30, "total": 16 << 30}
    assert memory["ram"]["total"] == memory["ram"]["free"] + memory["ram"]["used"]


def test_progress_shows_the_newest_preview(
    url: str, queue: JobQueue, worker: PlayedWorker, redis: Redis
) -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(jpeg, "JPEG")
    with ThreadPoolExecutor() as threads, client_of(url) as api:
        call = threads.submit(api.txt2img, **{**APPLE, "steps": 25})
        until(lambda: bool(queue.list().data))
        job = queue.list().data[0]
        assert job.generation.preview_every_steps == 10
        lease = worker.claim(job.id)
        until(lambda: api.get_progress()["state"]["job"] == job.id)
        assert api.get_progress()["current_image"] is None
        worker.leases.preview(lease, 0, 10, jpeg.getvalue())
        shown = api.get_progress()["current_image"]
        assert Image.open(io.BytesIO(base64.b64decode(shown))).size == (8, 8)
        left_out = api.session.get(f"{api.baseurl}/progress", params={"skip_current_image": "true"}).json()
        assert left_out["current_image"] is None
        worker.leases.succeed(lease, worker.store(lease))
        call.result(timeout=60)


def test_previews_can_be_off(made: Any, client: TestClient) -> None:
    assert made()[0].generation.preview_every_steps == 10
    assert made(override_settings={"live_previews_enable": False})[0].generation.preview_every_steps is None
    client.post(f"{API}/options", json={"show_progress_every_n_steps": -1})
    assert made()[0].generation.preview_every_steps is None


@pytest.mark.parametrize(("own", "asked", "meant"), [(1, 0, 1), (1, 0.5, 1), (1, 3, 3), (4, 0, 0)])
def test_less_than_one_is_no_guidance_for_models_of_few_steps_alone(
    catalog: Catalog, own: float, asked: float, meant: float
) -> None:
    card = catalog.models[0].model_copy(update={"cfg_scale": own})
    few = catalog.model_copy(update={"models": (card,)})
    assert to_native(TextToImage(prompt="a fox", cfg_scale=asked), None, few).cfg_scale == meant
