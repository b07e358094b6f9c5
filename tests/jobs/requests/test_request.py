import json
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.requests.guidance import Guidance
from jobs.requests.presets import PRESETS
from jobs.requests.request import MAX_IMAGES, MAX_PROMPT_CHARS, GenerateRequest
from jobs.requests.samplers import SamplerName
from jobs.requests.start.seeds import MAX_SEED
from jobs.resolve.request import resolve


def problems(**fields: Any) -> list[tuple[str, str]]:
    """Field and message of every refusal of a request with these fields and a prompt."""
    with pytest.raises(ValidationError) as caught:
        GenerateRequest.model_validate_json(json.dumps({"prompt": "x", **fields}))
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


def test_only_the_prompt_is_needed() -> None:
    request = GenerateRequest.model_validate_json('{"prompt": "a red apple"}')
    assert request.model_dump() == {
        "prompt": "a red apple",
        "negative_prompt": "",
        "prompt_syntax": "plain",
        "long_prompt": None,
        "model": None,
        "width": None,
        "height": None,
        "steps": None,
        "cfg_scale": None,
        "cfg_embedded": None,
        "sampler": None,
        "schedule": None,
        "eta": 0.0,
        "clip_skip": None,
        "guidance_rescale": None,
        "seed": None,
        "num_images": 1,
        "guidance": None,
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
        "webhook": None,
        "personalization": None,
        "select": None,
        "upscale": None,
        "timeout_s": 3600,
        "priority": "normal",
        "labels": (),
    }


@pytest.mark.parametrize(
    ("short", "fields"), [({}, {}), (True, {}), ("fast", {"preset": "fast"}), (False, None), (None, None)]
)
def test_guidance_is_off_unless_named_and_has_short_forms(
    short: object, fields: dict[str, str] | None
) -> None:
    request = GenerateRequest.model_validate({"prompt": "x", "guidance": short})
    assert request.guidance == (None if fields is None else Guidance.model_validate(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"guidance": {"cutouts": 8}},
        {"hires": {}},
        {"hires": {"width": 96, "height": 128}},
        {"init": {"image": f"sha256:{'a' * 64}", "strength": 0.5}, "outpaint": {"left": 16}},
        {"init": {"image": f"sha256:{'a' * 64}"}, "mask": {"image": f"sha256:{'b' * 64}"}},
        {"select": {"candidates": 4, "keep": 2}},
        {"variation": {"strength": 0.1}, "num_images": 3},
        {"upscale": {"factor": 2}},
    ],
)
def test_a_request_can_be_sent_again_as_answers_show_it(catalog: Catalog, fields: dict[str, object]) -> None:
    shown = resolve(GenerateRequest.model_validate({"prompt": "a fox", **fields}), catalog)
    again = GenerateRequest.model_validate_json(shown.model_dump_json())
    assert resolve(again, catalog) == shown


def test_what_only_the_server_computes_cannot_be_asked_for() -> None:
    init = {"image": f"sha256:{'a' * 64}", "steps_run": 5}
    with pytest.raises(ValidationError, match=r"init\.steps_run\n  Extra inputs"):
        GenerateRequest.model_validate({"prompt": "a fox", "init": init})


LIMITS = [
    ("width", 8, 4096),
    ("height", 8, 4096),
    ("steps", 1, 250),
    ("cfg_scale", 0, 50),
    ("seed", 0, MAX_SEED),
    ("num_images", 1, MAX_IMAGES),
    ("guidance.scale", 0, 100_000),
    ("guidance.cutouts", 1, 256),
]


def nested(field: str, value: object) -> dict[str, Any]:
    outer, _, inner = field.partition(".")
    return {outer: {inner: value} if inner else value}


@pytest.mark.parametrize(("field", "least", "most"), LIMITS)
def test_a_number_may_be_its_limit_and_beyond_it_is_refused_naming_field_and_limit(
    field: str, least: int, most: int
) -> None:
    for value in (least, most):
        GenerateRequest(prompt="x", **nested(field, value))
    at_least, at_most = problems(**nested(field, least - 1)), problems(**nested(field, most + 1))
    assert at_least == [(field, f"Input should be greater than or equal to {least}")]
    assert at_most == [(field, f"Input should be less than or equal to {most}")]


def test_a_timeout_is_more_than_nothing_and_at_most_a_day() -> None:
    assert problems(timeout_s=0) == [("timeout_s", "Input should be greater than 0")]
    assert problems(timeout_s=86401) == [("timeout_s", "Input should be less than or equal to 86400")]


@pytest.mark.parametrize("field", ["cfg_scale", "timeout_s", "guidance.scale"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_finite_number_is_refused(field: str, value: float) -> None:
    assert [name for name, _ in problems(**nested(field, value))] == [field]


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 2.5), ("seed", "seven"), ("num_images", None), ("width", [64])]
)
def test_what_is_no_whole_number_is_refused_naming_the_field(field: str, value: object) -> None:
    assert {name for name, _ in problems(**{field: value})} == {field}


def test_texts_have_a_length() -> None:
    longest = "x " * (MAX_PROMPT_CHARS // 2)
    GenerateRequest(prompt=longest, negative_prompt=longest, guidance=Guidance(prompt=longest))
    for field in ("prompt", "negative_prompt", "guidance.prompt"):
        assert problems(**nested(field, longest + "x")) == [
            (field, f"String should have at most {MAX_PROMPT_CHARS} characters")
        ]
    assert problems(guidance={"prompt": ""}) == [
        ("guidance.prompt", "String should have at least 1 character")
    ]
    for field in ("model", "guidance.clip"):
        assert problems(**nested(field, "x" * 101)) == [(field, "String should have at most 100 characters")]


@pytest.mark.parametrize("sign", ["x", "語", "-", "_"])
def test_a_text_is_in_words(sign: str) -> None:
    GenerateRequest(prompt=" ".join([sign * 1999] * 2))
    assert problems(prompt="a " + sign * 2001) == [
        ("prompt", "Value error, a text may have 2000 letters or signs without a break, and no more")
    ]


def test_an_unknown_field_is_refused_at_any_depth() -> None:
    assert problems(promt="x") == [("promt", "Extra inputs are not permitted")]
    assert problems(guidance={"cuts": 3}) == [("guidance.cuts", "Extra inputs are not permitted")]


def test_an_unknown_choice_is_refused_naming_the_known_ones() -> None:
    [(field, message)] = problems(sampler="magic")
    assert field == "sampler"
    assert all(sampler in message for sampler in SamplerName)
    [(field, message)] = problems(guidance={"preset": "magic"})
    assert field == "guidance.preset"
    assert all(preset in message for preset in PRESETS)


def test_a_request_cannot_be_changed_afterwards() -> None:
    request = GenerateRequest(prompt="x")
    with pytest.raises(ValidationError, match="frozen"):
        request.prompt = "y"  # type: ignore[misc]


def test_every_field_is_documented_with_a_description() -> None:
    schema = GenerateRequest.model_json_schema()
    for model in (schema, schema["$defs"]["Guidance"]):
        for name, field in model["properties"].items():
            assert field.get("description"), name
