"""Calls of the routes that speak other services' dialects and are not in ``/openapi.json``."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
from hypothesis import strategies as st
from pydantic import BaseModel

from app.api.dialects.a1111.extras.resizing import BY_NETWORK, RESAMPLERS
from app.api.dialects.a1111.extras.routes import OnePicture, ResizeOne, ResizeSome, ToDescribe
from app.api.dialects.a1111.guidance import TITLE
from app.api.dialects.a1111.image_to_image import ImageToImage
from app.api.dialects.a1111.request import TextToImage
from app.api.dialects.openai.request import ImageGeneration
from app.api.dialects.replicate.request import PredictionBody, VersionedPredictionBody
from benchmarks.fuzz.calls.bodies import bodies, fitting
from benchmarks.fuzz.calls.budget import Budget
from benchmarks.fuzz.calls.drawing import draw
from benchmarks.fuzz.calls.nowhere import leading_nowhere
from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.corpus.named import picture_texts
from jobs.requests.guidance import Guidance

_PICTURE = st.sampled_from(picture_texts())
_PICTURES = st.lists(_PICTURE, min_size=1, max_size=2)
_GUIDANCE = Guidance.model_json_schema()
_SCRIPTS = st.fixed_dictionaries(
    {
        TITLE: st.fixed_dictionaries(
            {
                "args": st.lists(
                    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5), max_size=40
                )
            }
        )
        | st.fixed_dictionaries({"args": st.tuples(fitting(_GUIDANCE, _GUIDANCE["$defs"])).map(list)})
    }
)


@dataclass(frozen=True)
class Dialect:
    """A route that makes pictures.

    Attributes:
        operation: method and path as documented.
        path: of the pocket model.
        bodies: what is sent there.
        is_error: whether a refusal is worded as the dialect's clients expect.
    """

    operation: str
    path: str
    bodies: st.SearchStrategy[Any]
    is_error: Callable[[Any], bool]


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda body: isinstance(body, dict) and set(names) <= body.keys()


def _is_openai_error(body: Any) -> bool:
    return _has("error")(body) and _has("message", "type", "param", "code")(body["error"])


def _with(strategy: st.SearchStrategy[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same bodies, of which one in three has these fields."""
    chosen: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.just({}) | st.fixed_dictionaries(fields)
    return st.tuples(strategy, chosen).map(
        lambda both: {**both[0], **both[1]} if isinstance(both[0], dict) else both[0]
    )


_UPSCALERS = st.sampled_from(("None", *RESAMPLERS, *BY_NETWORK))
_RESIZED = {"upscaler_1": _UPSCALERS, "upscaler_2": _UPSCALERS, "upscaling_resize": st.floats(0.1, 2)}
# The calls of A1111's that take a picture: name, body, and fields that few made-up bodies have right.
_OF_PICTURES: tuple[tuple[str, type[BaseModel], dict[str, st.SearchStrategy[Any]]], ...] = (
    ("img2img", ImageToImage, {"steps": st.just(1), "init_images": _PICTURES, "mask": _PICTURE}),
    ("extra-single-image", ResizeOne, _RESIZED),
    ("extra-batch-images", ResizeSome, _RESIZED),
    ("png-info", OnePicture, {}),
    ("interrogate", ToDescribe, {}),
)
_PREDICTION = _has("title", "detail", "status", "type")
_MODEL = "/v1/models/lodestar/pocket/predictions"
DIALECTS = (
    Dialect(
        "POST /sdapi/v1/txt2img",
        "/sdapi/v1/txt2img",
        _with(bodies(TextToImage.model_json_schema()), prompt=st.text(max_size=9), alwayson_scripts=_SCRIPTS),
        _has("error", "detail", "body", "errors"),
    ),
    *(
        Dialect(
            f"POST /sdapi/v1/{name}",
            f"/sdapi/v1/{name}",
            _with(bodies(body.model_json_schema()), **fields),
            _has("error", "detail", "body", "errors"),
        )
        for name, body, fields in _OF_PICTURES
    ),
    Dialect(
        "POST /v1/images/generations",
        "/v1/images/generations",
        _with(
            bodies(ImageGeneration.model_json_schema()),
            size=st.sampled_from(("64x64", "auto", "0x0", "9999x1")),
        ),
        _is_openai_error,
    ),
    Dialect(
        "POST /v1/models/{owner}/{name}/predictions",
        _MODEL,
        bodies(PredictionBody.model_json_schema()),
        _PREDICTION,
    ),
    Dialect(
        "POST /v1/predictions",
        "/v1/predictions",
        _with(
            bodies(VersionedPredictionBody.model_json_schema()),
            version=st.sampled_from(("pocket", "lodestar/pocket", "lodestar/pocket:pocket", ":", "a/b:c")),
        ),
        _PREDICTION,
    ),
)

_LISTS = (
    "sd-models",
    "samplers",
    "schedulers",
    "scripts",
    "script-info",
    "cmd-flags",
    "memory",
    "embeddings",
    "upscalers",
    "latent-upscale-modes",
)
_EMPTY = (
    "sd-vae",
    "loras",
    "hypernetworks",
    "face-restorers",
    "prompt-styles",
    "extensions",
)
# Calls without a body that matters: operation, path.
OTHERS = (
    *(
        (f"GET /sdapi/v1/{name}",) * 2
        for name in (*_LISTS, *_EMPTY, "options", "progress", "realesrgan-models")
    ),
    *((f"POST /sdapi/v1/{name}",) * 2 for name in ("interrupt", "skip", "refresh-checkpoints")),
    *((f"POST /v1/images/{name}",) * 2 for name in ("edits", "variations")),
    ("GET /v1/predictions", "GET /v1/predictions"),
    ("GET /v1/predictions", "GET /v1/predictions?cursor=%00"),
    ("GET /v1/predictions/{job_id}", "GET /v1/predictions/nothing"),
    ("POST /v1/predictions/{job_id}/cancel", "POST /v1/predictions/nothing/cancel"),
    ("GET /v1/models/{model_id}", "GET /v1/models/pocket"),
    ("GET /v1/models/{model_id}", "GET /v1/models/%F0%9F%8D%8E"),
    ("GET /v1/models/{owner}/{name}", "GET /v1/models/lodestar/pocket"),
    ("GET /v1/models/{owner}/{name}/versions", "GET /v1/models/lodestar/pocket/versions"),
    ("GET /v1/models/{owner}/{name}/versions/{version}", "GET /v1/models/lodestar/pocket/versions/pocket"),
    ("GET /v1/models/{owner}/{name}/versions/{version}", "GET /v1/models/lodestar/pocket/versions/%2e%2e"),
    ("GET /v1/deployments/{owner}/{name}", "GET /v1/deployments/lodestar/pocket"),
    ("GET /v1/webhooks/default/secret", "GET /v1/webhooks/default/secret"),
)


def fuzz_dialects(sender: Sender, number: int, budget: Budget, run_seed: int) -> None:
    """That many bodies to each route, and everything else once."""
    for operation, call in OTHERS:
        sender.send(operation, call.partition(" ")[2], json=None if operation.startswith("GET") else {})
    for dialect in DIALECTS:
        _fuzz_one(sender, dialect, number, budget.share(1 / len(DIALECTS)), run_seed)
    _options(sender, Random(run_seed))


def _fuzz_one(sender: Sender, dialect: Dialect, number: int, budget: Budget, run_seed: int) -> None:
    def each(body: Any) -> None:
        if not budget.is_spent():
            _send(sender, dialect, body)

    draw(dialect.bodies, number, run_seed, each)


def _send(sender: Sender, dialect: Dialect, body: Any) -> None:
    try:
        content = json.dumps(leading_nowhere(body)).encode()
    except (ValueError, UnicodeEncodeError):
        return
    headers = {"Content-Type": "application/json"}
    answer = sender.send(
        dialect.operation, dialect.path, "a body that was made up", content=content, headers=headers
    )
    if answer is not None and answer.is_error and not dialect.is_error(_json(answer)):
        message = f"a refusal that its clients cannot read: {answer.text[:300]}"
        sender.found("shape of a refusal", dialect.operation, message, answer.request)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _options(sender: Sender, chance: Random) -> None:
    """Values of A1111's options. The existing model comes last, or all later calls would use another."""
    odd: Mapping[str, Any] = {
        "none": None,
        "list": [],
        "object": {},
        "long": "a" * 100_000,
        "number": 7,
        "": "",
    }
    for name in chance.sample(sorted(odd), len(odd)):
        sender.send(
            "POST /sdapi/v1/options", "/sdapi/v1/options", name, json={"sd_model_checkpoint": odd[name]}
        )
    sender.send(
        "POST /sdapi/v1/options", "/sdapi/v1/options", "pocket", json={"sd_model_checkpoint": "pocket"}
    )
