"""The description of forms."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.api.intake.fields import from_pairs
from app.api.intake.form_schema import dotted, without_null
from jobs.requests.request import GenerateRequest

FORM = dotted(GenerateRequest)["properties"]
NEEDED = {
    "edit.image": "sha256:" + 64 * "0",
    "init.image": "sha256:" + 64 * "0",
    "personalization.embedding": "warm",
    "select.candidates": "16",
    "upscale.factor": "2",
    "mask.image": "sha256:" + 64 * "0",
    "variation.strength": "0.1",
    "webhook.url": "https://a.example/",
}


def a_value_of(field: dict[str, Any]) -> str:
    kind = next(iter(field.get("anyOf", (field,))))
    number = str(kind.get("exclusiveMinimum", 0) + 0.05)
    words = {"boolean": "true", "string": "a", "number": number, "integer": str(kind.get("minimum", 1))}
    return str(kind["enum"][0]) if "enum" in kind else words[kind["type"]]


@pytest.mark.parametrize("name", FORM)
def test_a_field_that_a_form_is_said_to_have_is_read(name: str) -> None:
    group = name.partition(".")[0] + "."
    needed = {other: value for other, value in NEEDED.items() if "." in name and other.startswith(group)}
    fields = {"prompt": "a", name: a_value_of(FORM[name]), **needed}
    try:
        GenerateRequest.model_validate(from_pairs(fields.items()))
    except ValidationError as error:
        pytest.fail(str(error))


def test_nothing_of_it_nests_and_nothing_is_null() -> None:
    assert {"prompt", "sampler", "priority", "guidance.scale", "select.by", "webhook.url"} - FORM.keys() == {
        "select.by"
    }
    assert all("." in name or name in GenerateRequest.model_fields for name in FORM)
    assert "null" not in str(FORM)


def test_a_field_that_may_be_null_keeps_its_other_kinds() -> None:
    bounded = {"type": "integer", "minimum": 1}
    fields = without_null(
        {
            "one": {"anyOf": [bounded, {"type": "null"}], "default": None, "description": "d"},
            "two": {"anyOf": [bounded, {"type": "string"}, {"type": "null"}]},
            "plain": bounded,
        }
    )
    assert fields == {
        "one": {**bounded, "description": "d"},
        "two": {"anyOf": [bounded, {"type": "string"}]},
        "plain": bounded,
    }
