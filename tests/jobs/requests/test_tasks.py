"""Requests as they are stored."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

from jobs.prompts.prompt import LongPrompt, PromptSyntax
from jobs.requests.enlarging import HiresUpscaler, ResolvedHires, ResolvedUpscale
from jobs.requests.guidance import Guidance, ResolvedGuidance
from jobs.requests.objectives import (
    AestheticObjective,
    EmbeddingObjective,
    ImageObjective,
    PixelObjective,
    TextObjective,
)
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.pictures import MaskPicture, Picture, Thumbnail
from jobs.requests.presets import PRESETS
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.selection import ResolvedSelection, Weights
from jobs.requests.start.init import Fit, ResolvedInit
from jobs.requests.start.mask import ResolvedMask
from jobs.requests.start.outpaint import ResolvedOutpaint
from jobs.requests.start.seeds import ResolvedVariation
from jobs.requests.tasks import (
    DescribeTask,
    EmbeddingTask,
    EnlargeTask,
    ImportTask,
    LargerPicture,
    QueryTask,
    ScoreTask,
    Task,
    dump_request,
    read_request,
)
from jobs.wire import dump_as_stored
from tests.jobs.samples import RESOLVED

OBJECTIVE = {"weight": 1.0, "start": 0.0, "end": 1.0}
TASK = {"timeout_s": 600.0}
# Whoever changes one changes what the stored jobs do. A new field gets a default that changes nothing, and joins them.
DEFAULTS: dict[type[BaseModel], dict[str, Any]] = {
    ResolvedRequest: {
        "prompt_syntax": "plain",
        "long_prompt": "cut",
        "schedule": "default",
        "eta": 0.0,
        "clip_skip": 0,
        "cfg_embedded": False,
        "guidance_rescale": 0.0,
        "edit": None,
        "init": None,
        "mask": None,
        "outpaint": None,
        "adapters": (),
        "controls": (),
        "image_prompts": (),
        "sizes": None,
        "refiner": None,
        "variation": None,
        "hires": None,
        "preview_every_steps": None,
        "personalization": None,
        "select": None,
        "upscale": None,
        "priority": "normal",
        "labels": (),
    },
    ResolvedGuidance: {"last_step": True, "blur": 0.0},
    ResolvedInit: {},
    ResolvedMask: {
        "image": None,
        "invert": False,
        "grow": 0,
        "blur": 0.0,
        "fill": "original",
        "area": "whole",
        "padding": 32,
        "soft": False,
        "paste": True,
    },
    ResolvedOutpaint: {"left": 0, "right": 0, "up": 0, "down": 0},
    ResolvedVariation: {},
    ResolvedHires: {},
    ResolvedPersonalization: {},
    ResolvedSelection: {"resample": None},
    ResolvedUpscale: {},
    Weights: {"clip": 0.0, "aesthetic": 0.0},
    TextObjective: {**OBJECTIVE, "clip": None},
    ImageObjective: {**OBJECTIVE, "clip": None},
    EmbeddingObjective: {**OBJECTIVE, "clip": None, "digest": None},
    AestheticObjective: {**OBJECTIVE, "clip": None},
    PixelObjective: OBJECTIVE,
    EmbeddingTask: {**TASK, "kind": "embedding", "normalize": True, "minus": ()},
    ImportTask: {**TASK, "kind": "import", "filename": ""},
    ScoreTask: {**TASK, "kind": "score", "prompt": None},
    QueryTask: {**TASK, "kind": "query", "text": None, "picture": None},
    DescribeTask: {**TASK, "kind": "describe"},
    EnlargeTask: {**TASK, "kind": "enlarge", "fit": Fit.STRETCH},
    LargerPicture: {},
}
OBJECTIVES = (
    TextObjective(type="text", text="a pear", clip="pocket-m"),
    ImageObjective(type="image", image=Thumbnail("sha256:" + "a" * 64), clip="pocket-s", weight=2),
    EmbeddingObjective(type="embedding", embedding="warm", digest="d", clip="pocket-s"),
    AestheticObjective(type="aesthetic", clip="pocket-s", start=0.5),
    PixelObjective(type="tv", weight=0.1),
)


def guided() -> ResolvedRequest:
    """A request that uses everything there is."""
    guidance = ResolvedGuidance(
        **PRESETS["laion"].parameters()
        | {"preset": "laion", "clip": "pocket-m", "objectives": OBJECTIVES, "cutouts": 4, "trace": False}
    )
    return RESOLVED.model_copy(
        update={
            "guidance": guidance,
            "eta": 0.5,
            "prompt_syntax": PromptSyntax.A1111,
            "long_prompt": LongPrompt.CHUNK,
            "personalization": ResolvedPersonalization(
                embedding="warm",
                digest="d",
                steps=5,
                lr=1e-4,
                weight=1,
                blend="lerp",
                text=None,
                text_angle=0,
                text_negative=False,
            ),
            "init": ResolvedInit(
                image=Picture("sha256:" + "b" * 64),
                strength=0.5,
                exact_steps=False,
                fit=Fit.CROP,
                steps_planned=20,
                steps_run=10,
            ),
            "mask": ResolvedMask(image=MaskPicture("sha256:" + "c" * 64), blur=4),
            "outpaint": ResolvedOutpaint(right=16),
            "variation": ResolvedVariation(seed=3, strength=0.5),
            "hires": ResolvedHires(
                scale=2, upscaler=HiresUpscaler.X4PLUS, strength=0.4, steps=9, width=128, height=128
            ),
            "select": ResolvedSelection(keep=1, by=Weights(clip=1), scorer="pocket-s"),
            "upscale": ResolvedUpscale(factor=2, model="m"),
        }
    )


REQUESTS: list[ResolvedRequest | Task] = [
    RESOLVED,
    guided(),
    EmbeddingTask(clip="c", name="warm", pictures=("a/uploads/0.png",)),
    ImportTask(clip="c", name="warm", file="a/uploads/0.pt", filename="mine.pt"),
    ScoreTask(clip="c", pictures=("a/uploads/0.png",), prompt="é\n\u2028"),
    QueryTask(clip="c", text="a pear", timeout_s=60),
    DescribeTask(clip="c", picture="a/uploads/0.png", words_of="pocket"),
    EnlargeTask(
        network="x4plus",
        fit=Fit.CROP,
        pictures=(LargerPicture(key="a/uploads/0.png", pixels=9, width=6, height=4),),
    ),
]


@pytest.mark.parametrize("model", DEFAULTS, ids=lambda model: str(model.__name__))
def test_the_default_of_a_stored_field_never_changes(model: type[BaseModel]) -> None:
    fields = model.model_fields.items()
    assert {name: field.default for name, field in fields if not field.is_required()} == DEFAULTS[model]


def test_every_model_that_is_stored_is_among_those_whose_defaults_are_known() -> None:
    def models(value: object) -> set[type[BaseModel]]:
        if isinstance(value, BaseModel):
            inner = [getattr(value, name) for name in type(value).model_fields]
            return {type(value)}.union(*map(models, inner))
        return set().union(*map(models, value)) if isinstance(value, tuple) else set()

    assert set().union(*map(models, REQUESTS)) == set(DEFAULTS)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_comes_back_as_it_was_stored(request_: ResolvedRequest | Task) -> None:
    assert read_request(dump_request(request_)) == request_


def test_what_is_by_default_is_not_stored() -> None:
    assert "eta" not in json.loads(dump_request(RESOLVED))
    assert json.loads(dump_request(guided()))["guidance"]["objectives"][-1] == {"type": "tv", "weight": 0.1}
    assert json.loads(dump_request(QueryTask(clip="c"))) == {"kind": "query", "clip": "c"}


def test_requests_are_read_that_name_every_default() -> None:
    for request in REQUESTS:
        assert read_request(request.model_dump_json()) == request


class _Newer(ResolvedRequest):
    """The next version's."""

    sparkle: float = Field(0.0, description="What this version does not know.")


def test_an_older_version_reads_what_a_newer_one_has_stored_if_it_does_not_use_the_new_field() -> None:
    newer = _Newer(**{name: getattr(RESOLVED, name) for name in ResolvedRequest.model_fields})
    assert read_request(dump_request(newer)) == RESOLVED
    with pytest.raises(ValidationError, match="sparkle"):
        read_request(dump_request(newer.model_copy(update={"sparkle": 0.5})))


def test_a_stored_request_can_be_asked_for_again() -> None:
    asked = guided().guidance
    assert asked is not None
    again = Guidance.model_validate(asked.model_dump(exclude={"objectives"}) | {"objectives": OBJECTIVES})
    assert again.objectives == OBJECTIVES


STORED_BEFORE = (
    '{"prompt":"a red apple","negative_prompt":"","model":"pocket","width":64,"height":64,"steps":25,"cfg_scale":5.0,'
    '"sampler":"ddim","seed":7,"images":4,"guidance":null,"preview_every":5,'
    '"select":{"keep":1,"by":{"clip":1.0},"judge":"pocket-s"},"timeout_s":3600.0}'
)


def test_workers_of_this_version_and_the_one_before_read_what_the_other_has_stored() -> None:
    request = read_request(STORED_BEFORE)
    assert isinstance(request, ResolvedRequest)
    assert request.select is not None
    assert (request.num_images, request.preview_every_steps, request.select.scorer) == (4, 5, "pocket-s")
    assert json.loads(dump_request(request)) == json.loads(STORED_BEFORE)


def test_an_idempotency_key_is_bound_to_what_the_version_before_bound_it_to() -> None:
    request = GenerateRequest(prompt="é", cfg_scale=1e-5, num_images=2, preview_every_steps=5)
    assert (
        to_json(dump_as_stored(request))
        == '{"prompt":"é","cfg_scale":0.00001,"images":2,"preview_every":5}'.encode()
    )


def test_what_a_version_with_other_bounds_has_stored_is_read() -> None:
    beyond = {"steps": 1000, "prompt": "x" * 5000, "num_images": 300}
    for request in (RESOLVED, guided()):
        assert (
            read_request(dump_request(request.model_copy(update=beyond))).model_dump().items()
            >= beyond.items()
        )
