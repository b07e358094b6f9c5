"""What the headers of adapters say."""

import json

import pytest

from worker.models.adapters.description import Description, described


def test_the_standard_fields_come_first() -> None:
    metadata = {
        "modelspec.title": "Ink",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.trigger_phrase": "ink drawing",
        "modelspec.license": "MIT",
        "ss_output_name": "ink_v2",
    }
    assert described(metadata) == Description("Ink", "stable-diffusion-v1/lora", ("ink drawing",), "MIT")


def test_the_words_of_most_training_pictures_are_triggers() -> None:
    counts = {"a": {"ink": 40, "fox": 3}, "b": {"ink ": 10, "sketch": 30, "": 90}}
    metadata = {"ss_tag_frequency": json.dumps(counts), "ss_base_model_version": "sd_v1"}
    found = described(metadata)
    assert found.triggers == ("ink", "sketch")
    assert found.base == "sd_v1"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"b": "x"}}', '{"a": {"b": null}}'])
def test_a_header_may_say_anything(text: str) -> None:
    assert described({"ss_tag_frequency": text}).triggers == ()
