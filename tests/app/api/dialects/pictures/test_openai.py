"""Edits and variations of the unmodified ``openai`` client."""

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from jobs.requests.request import ResolvedRequest
from jobs.requests.start.mask import Area
from jobs.status.job import Job
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_openai import decoded
from tests.brought_pictures import encoded, lying, scene

PROMPT = "a red apple"
BOX = (16, 16, 32, 40)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60, _strict_response_validation=True
    ) as client:
        yield client


def erased(size: tuple[int, int] = (64, 64)) -> bytes:
    """The scene with a hole."""
    picture = scene(*size).convert("RGBA")
    picture.paste((0, 0, 0, 0), BOX)
    return encoded(picture)


def plain(width: int = 64, height: int = 64) -> bytes:
    return encoded(scene(width, height))


@pytest.fixture
def kept(artifacts: ArtifactStore) -> Callable[[Job, str], Image.Image]:
    """A picture that a job was given."""

    def find(job: Job, name: str) -> Image.Image:
        key = input_key(job.id, name.removeprefix("sha256:"))
        return Image.open(io.BytesIO(artifacts.get(key)))

    return find


def test_a_mask_is_painted_where_it_is_transparent(
    client: openai.OpenAI, working: None, first_job: FirstJob, kept: Callable[[Job, str], Image.Image]
) -> None:
    answer = client.images.edit(image=plain(), mask=erased(), prompt=PROMPT, n=2, response_format="b64_json")
    assert answer.data is not None
    assert [decoded(picture.b64_json).size for picture in answer.data] == [(64, 64)] * 2
    job = first_job()
    init, mask = job.generation.init, job.generation.mask
    assert init is not None
    assert mask is not None
    assert mask.image is not None
    assert (init.strength, mask.invert, mask.area) == (1, False, Area.WHOLE)
    assert kept(job, init.image).tobytes() == scene(64, 64).tobytes()
    painted = kept(job, mask.image).convert("L")
    assert (painted.getbbox(), painted.getextrema()) == (BOX, (0, 255))
    assert painted.crop(BOX).getextrema() == (255, 255)


def test_without_a_mask_the_pictures_own_transparency_is_one(
    client: openai.OpenAI, working: None, first_job: FirstJob, kept: Callable[[Job, str], Image.Image]
) -> None:
    client.images.edit(image=erased(), prompt=PROMPT)
    job = first_job()
    mask = job.generation.mask
    assert mask is not None
    assert mask.image is not None
    assert kept(job, mask.image).convert("L").getbbox() == BOX
    assert job.notes == ("there is no mask, so what is transparent in the picture is painted anew",)


@pytest.mark.parametrize(("fidelity", "strength"), [(None, 0.8), ("low", 0.8), ("high", 0.6)])
def test_without_any_mask_the_whole_is_drawn_anew_and_the_answer_says_so(
    client: openai.OpenAI, working: None, first_job: FirstJob, fidelity: Any, strength: float
) -> None:
    extra = {} if fidelity is None else {"input_fidelity": fidelity}
    answer = client.images.edit(image=plain(90, 60), prompt=PROMPT, size="auto", **extra)
    request = first_job().generation
    assert request.init is not None
    assert (request.init.strength, request.mask, request.width, request.height) == (strength, None, 80, 48)
    (note,) = (answer.model_extra or {})["notes"]
    assert note.startswith("without a mask the whole picture is drawn anew")
    assert answer.size == "80x48"


def test_a_variation_has_no_prompt(client: openai.OpenAI, working: None, first_job: FirstJob) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        answer = client.images.create_variation(image=erased(), n=2, size="96x64", response_format="url")  # type: ignore[arg-type]
    assert answer.data is not None
    assert len(answer.data) == 2
    request = first_job().generation
    assert request.init is not None
    assert (request.prompt, request.init.strength, request.mask) == ("", 0.6, None)
    assert (request.width, request.height, request.num_images) == (96, 64, 2)


def test_native_fields_go_beside_the_files(client: openai.OpenAI, working: None, first_job: FirstJob) -> None:
    own: dict[str, Any] = {
        "seed": 7,
        "guidance": {"scale": 0.2, "cutouts": 8},
        "mask.blur": 4,
        "init": {"fit": "pad"},
        "strength": 0.5,
    }
    client.images.edit(image=plain(), mask=erased(), prompt=PROMPT, model="pocket", extra_body=own)
    request = first_job().generation
    assert request.guidance is not None
    assert request.mask is not None
    assert request.init is not None
    assert (request.seed, request.guidance.scale, request.guidance.cutouts) == (7, 0.2, 8)
    assert (request.mask.blur, request.init.fit, request.init.strength) == (4, "pad", 0.5)


def test_an_edit_can_be_streamed(client: openai.OpenAI, working: None) -> None:
    stream = client.images.edit(image=plain(), prompt=PROMPT, n=2, stream=True, quality="low")
    events = list(stream)
    assert [event.type for event in events] == ["image_edit.completed"] * 2
    assert decoded(events[0].b64_json).size == (64, 64)


def test_fields_of_openais_own_models_have_no_effect_and_are_noted(
    client: openai.OpenAI, working: None
) -> None:
    answer = client.images.edit(
        image=plain(),
        mask=erased(),
        prompt=PROMPT,
        markup=plain(),
        input_fidelity="high",
        background="transparent",
        svg={"model": "x", "reasoning": {"effort": "none"}},
        user="user-1",
    )
    notes = (answer.model_extra or {})["notes"]
    for name in ("markup", "input_fidelity", "background", "svg"):
        assert any(note.startswith(name) for note in notes), name


def test_a_turned_photograph_takes_a_mask_of_its_upright_size(
    client: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    client.images.edit(image=lying(6, image=scene(64, 48)), mask=erased((64, 48)), prompt=PROMPT)
    assert first_job().generation.mask is not None


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"image": [plain(), plain()]}, "unsupported_operation", "image"),
        ({"image": plain(), "mask": plain()}, "invalid_image_file", "mask"),
        ({"image": plain(), "mask": erased((80, 80))}, "invalid_image_file", "mask"),
        ({"image": plain(), "mask": b"hello"}, "invalid_image_file", "mask"),
        ({"image": b"hello"}, "invalid_image_file", "image"),
        ({"image": plain(), "n": 11}, "invalid_request", "n"),
        ({"image": plain(), "extra_body": {"colour": "red"}}, "invalid_request", "colour"),
        ({"image": plain(), "extra_body": {"strength": 0.001}}, "invalid_request", "strength"),
        ({"image": plain(), "model": "none"}, "model_not_found", "model"),
    ],
)
def test_what_cannot_be_served_names_its_field(
    client: openai.OpenAI, fields: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        client.images.edit(**{"prompt": PROMPT, **fields})
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_body_without_a_picture_says_so(url: str) -> None:
    for sent in ({"data": {"prompt": PROMPT}, "files": {"mask": erased()}}, {"json": {"prompt": PROMPT}}):
        answer = httpx.post(f"{url}/v1/images/edits", **sent)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image")


@pytest.mark.parametrize("form", ["image", "images", "object"])
def test_a_body_may_be_json(url: str, working: None, first_job: FirstJob, form: str) -> None:
    picture, mask = (
        f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (plain(), erased())
    )
    forms: dict[str, dict[str, Any]] = {
        "image": {"image": picture, "mask": mask},
        "images": {"images": [picture], "mask": mask},
        "object": {"images": [{"image_url": picture}], "mask": {"image_url": mask}},
    }
    body = {"prompt": PROMPT, "n": 1, **forms[form]}
    answer = httpx.post(f"{url}/v1/images/edits", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    request: ResolvedRequest = first_job().generation
    assert request.init is not None
    assert request.mask is not None


def test_an_upload_and_a_picture_of_a_job_can_be_edited(url: str, working: None, first_job: FirstJob) -> None:
    upload = httpx.post(f"{url}/v1/uploads", content=erased(), headers={"Content-Type": "image/png"}).json()
    made = httpx.post(
        f"{url}/v1/images/edits", json={"prompt": PROMPT, "image": upload["data"][0]["id"]}, timeout=60
    )
    assert first_job().generation.mask is not None
    of_job = f"{made.json()['job']}/0"
    form = {"prompt": (None, PROMPT), "image": (None, of_job)}
    assert httpx.post(f"{url}/v1/images/edits", files=form, timeout=60).status_code == 200


def test_the_same_key_and_files_give_the_same_pictures(client: openai.OpenAI, working: None) -> None:
    answers = [
        client.images.edit(
            image=plain(), mask=erased(), prompt=PROMPT, extra_headers={"Idempotency-Key": "k"}
        ).data
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("steps", [1, 2, 49])
def test_the_strength_that_we_choose_never_leaves_a_picture_without_a_step(
    client: openai.OpenAI, working: None, first_job: FirstJob, steps: int
) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        client.images.create_variation(image=plain(), extra_body={"steps": steps})
    init = first_job().generation.init
    assert init is not None
    assert init.steps_run == max(1, int(steps * 0.6))
