"""Adapters and ControlNets by the names that clients of Replicate and of OpenAI send."""

import io
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from replicate.client import Client

from app.api.settings import ApiSettings
from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.errors import InvalidRequestError
from jobs.queue.queue import JobQueue
from jobs.requests.request import GenerateRequest
from tests.app.api.dialects.conftest import FirstJob
from tests.app.api.dialects.test_left_out import of_openai, of_replicate
from tests.app.api.dialects.test_replicate import MODEL, client_of
from tests.brought_pictures import encoded, scene

IMAGE, OTHER = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
DIALECTS = [pytest.param(of_openai, "", id="openai"), pytest.param(of_replicate, "input.", id="replicate")]


@pytest.fixture
def served(catalog: Catalog) -> Catalog:
    """Two adapters, and a ControlNet of the first model."""
    adapters = tuple(AdapterCard(id=name, path=Path(name)) for name in ("ink", "blob"))
    controls = (ControlCard(id="edges", path=Path("edges"), base=(catalog.models[0].id,)),)
    return catalog.model_copy(update={"adapters": adapters, "controls": controls})


def told(request: GenerateRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a request gives of its adapters and controls."""
    parts = (request.adapters, request.controls)
    adapters, controls = ([each.model_dump(exclude_unset=True) for each in part] for part in parts)
    return adapters, controls


CONTROL = {"model": "edges", "image": IMAGE}
NUMBERED = {f"controlnet_{n}_{name}": value for n in (1, 2, 3) for name, value in (("start", 0), ("end", 1))}


@pytest.mark.parametrize(("native", "within"), DIALECTS)
@pytest.mark.parametrize(
    ("fields", "adapters", "controls"),
    [
        ({"lora_weights": "ink"}, [{"name": "ink"}], []),
        ({"replicate_weights": "ink", "lora_scale": 0.6}, [{"name": "ink", "weight": 0.6}], []),
        (
            {"lora_weights": "ink", "extra_lora": "blob", "extra_lora_scale": -1},
            [{"name": "ink"}, {"name": "blob", "weight": -1}],
            [],
        ),
        ({"image": IMAGE, "condition_scale": 0.5}, [], [{**CONTROL, "weight": 0.5}]),
        ({"control_image": IMAGE}, [], [CONTROL]),
        ({"image": IMAGE, "structure": "edges"}, [], [CONTROL]),
        (
            {"control_image": IMAGE, "control_type": "edges", "low_threshold": 50, "high_threshold": 90},
            [],
            [{**CONTROL, "low": 50, "high": 90}],
        ),
        (
            {"control_image": IMAGE, "control_guidance_start": 0.1, "control_guidance_end": 0.8},
            [],
            [{**CONTROL, "start": 0.1, "end": 0.8}],
        ),
        (
            {
                **NUMBERED,
                "controlnet_1": "edges",
                "controlnet_1_image": IMAGE,
                "controlnet_1_conditioning_scale": 0.75,
                "controlnet_2": "none",
                "controlnet_3": "edges",
                "controlnet_3_image": OTHER,
            },
            [],
            [
                {**CONTROL, "weight": 0.75, "start": 0, "end": 1},
                {**CONTROL, "image": OTHER, "start": 0, "end": 1},
            ],
        ),
    ],
)
def test_customary_names_stand_for_native_fields(
    served: Catalog,
    native: Any,
    within: str,
    fields: dict[str, Any],
    adapters: list[dict[str, Any]],
    controls: list[dict[str, Any]],
) -> None:
    request = native(served, **fields)
    assert told(request) == (adapters, controls)
    assert request.init is None


@pytest.mark.parametrize(("native", "within"), DIALECTS)
def test_a_picture_to_start_from_goes_beside_that_of_a_control(
    served: Catalog, native: Any, within: str
) -> None:
    request = native(served, image=OTHER, prompt_strength=0.4, control_image=IMAGE)
    assert (request.init.image, request.init.strength) == (OTHER, 0.4)
    assert told(request) == ([], [CONTROL])


@pytest.mark.parametrize(("native", "within"), DIALECTS)
@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"condition_scale": 0.5}, "control_image", "condition_scale needs a picture"),
        (
            {"image": IMAGE, "prompt_strength": 0.5, "condition_scale": 1},
            "control_image",
            "image is the picture to start from",
        ),
        ({"controlnet_2": "edges"}, "controlnet_2_image", "controlnet_2 needs a picture"),
        (
            {"lora_weights": "ink", "adapters": [{"name": "blob"}]},
            "lora_weights",
            "lora_weights and adapters are the same",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_by_its_field(
    served: Catalog, native: Any, within: str, fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        native(served, **fields)
    assert refused.value.field == within + field


@pytest.mark.parametrize("named", [(), ("edges", "lines")])
def test_a_control_is_named_unless_there_is_one_alone(served: Catalog, named: tuple[str, ...]) -> None:
    controls = tuple(ControlCard(id=name, path=Path(name)) for name in named)
    several = served.model_copy(update={"controls": controls})
    with pytest.raises(InvalidRequestError, match=f": {', '.join(named) or 'none'}$") as refused:
        of_replicate(several, control_image=IMAGE)
    assert refused.value.field == "input.controlnet"


@pytest.fixture
def settings(with_networks: ApiSettings) -> ApiSettings:
    return with_networks


@pytest.fixture
def own(url: str) -> Iterator[Client]:
    with client_of(url) as client:
        yield client


def picture() -> io.BytesIO:
    return io.BytesIO(encoded(scene(64, 64)))


def test_replicates_client_sends_a_control_and_an_adapter(own: Client, queue: JobQueue) -> None:
    asked = {
        "prompt": "a fox",
        "image": picture(),
        "condition_scale": 0.5,
        "lora_weights": "ink",
        "lora_scale": 0.6,
    }
    request = queue.get(own.predictions.create(model=MODEL, input=asked).id).generation
    (adapter,), (control,) = request.adapters, request.controls
    assert (adapter.name, adapter.weight, adapter.text_weight) == ("ink", 0.6, 0.6)
    assert (control.model, control.weight, control.preprocess) == ("edges", 0.5, "canny")
    assert request.init is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (
            {"lora_weights": "https://example.com/ink.tar"},
            "detail: 'https.*' is not in the catalog; it holds: ink, blob",
        ),
        ({"lora_weights": "ink", "lora_scale": 9}, "input.lora_scale: .* less than or equal to 4"),
        ({"lora_weigths": "ink"}, "input.lora_weigths: there is no field of this name"),
    ],
)
def test_replicates_client_is_told_the_field_that_cannot_be_served(
    own: Client, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Exception, match=reason):
        own.predictions.create(model=MODEL, input={"prompt": "a fox", **asked})


def test_a_weight_of_no_adapter_is_told_to_have_no_effect(own: Client) -> None:
    prediction = own.predictions.create(model=MODEL, input={"prompt": "a fox", "lora_scale": 0.6})
    assert prediction.logs is not None
    assert "lora_scale has no effect on this server" in prediction.logs


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_openais_sdk_sends_native_fields_beside_its_own(
    sdk: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    control = {"model": "edges", "image": b64encode(encoded(scene(64, 64))).decode(), "weight": 0.7}
    body = {"adapters": [{"name": "ink", "weight": 0.8}, {"name": "blob", "end": 0.5}], "controls": [control]}
    sdk.images.generate(prompt="a fox", model="pocket", extra_body=body)
    request = first_job().generation
    assert [(each.name, each.weight, each.end) for each in request.adapters] == [
        ("ink", 0.8, 1),
        ("blob", 1, 0.5),
    ]
    assert [(each.model, each.weight) for each in request.controls] == [("edges", 0.7)]


def test_openais_sdk_sends_them_beside_the_files_of_an_edit(
    sdk: openai.OpenAI, working: None, first_job: FirstJob
) -> None:
    body = {"adapters": [{"name": "ink", "weight": 0.8}, {"name": "blob", "weight": -1}], "strength": 0.5}
    sdk.images.edit(image=("a.png", picture()), prompt="a fox", model="pocket", extra_body=body)
    request = first_job().generation
    assert [(each.name, each.weight) for each in request.adapters] == [("ink", 0.8), ("blob", -1)]
    assert request.init is not None


def test_a_form_that_does_not_tell_whose_a_field_is_is_refused(sdk: openai.OpenAI) -> None:
    # The SDK writes all names first, and then the only weight.
    body = {"adapters": [{"name": "ink"}, {"name": "blob", "weight": 0.8}]}
    with pytest.raises(
        openai.BadRequestError, match="which of 2 adapters has which weight: give it for each"
    ):
        sdk.images.edit(image=("a.png", picture()), prompt="a fox", model="pocket", extra_body=body)
