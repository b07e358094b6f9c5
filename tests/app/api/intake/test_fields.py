"""Fields from queries and forms."""

import pytest

from app.api.intake.fields import from_pairs, query_parameters
from app.api.intake.form_schema import parts_of
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.sizes import Corner, StatedSizes
from jobs.requests.enlarging import Upscale
from jobs.requests.personalization import Personalization
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import Selection


def test_plain_fields_are_taken_as_they_are() -> None:
    assert from_pairs([("prompt", "a+b & c"), ("steps", "5")]) == {"prompt": "a+b & c", "steps": "5"}


def test_dots_lead_to_fields_of_fields() -> None:
    pairs = [
        ("guidance.scale", "0.1"),
        ("guidance.cutouts", "8"),
        ("webhook.url", "https://a.example/?b.c=d"),
    ]
    assert from_pairs(pairs) == {
        "guidance": {"scale": "0.1", "cutouts": "8"},
        "webhook": {"url": "https://a.example/?b.c=d"},
    }


def test_every_field_that_has_fields_can_be_written_with_dots() -> None:
    pairs = [
        ("prompt", "a red apple"),
        ("guidance.scale", "0.1"),
        ("personalization.embedding", "warm"),
        ("personalization.steps", "5"),
        ("select.candidates", "16"),
        ("select.by", "clip"),
        ("upscale.factor", "2"),
        ("edit.image", "sha256:" + 64 * "0"),
        ("init.image", "sha256:" + 64 * "0"),
        ("mask.image", "sha256:" + 64 * "0"),
        ("outpaint.right", "16"),
        ("variation.strength", "0.1"),
        ("hires.scale", "1.5"),
        ("refiner.model", "refiner"),
        ("sizes.crop", '{"left": 8}'),
        ("webhook.url", "https://a.example/"),
    ]
    request = GenerateRequest.model_validate(from_pairs(pairs))
    assert request.personalization == Personalization(embedding="warm", steps=5)
    assert request.select == Selection(candidates=16, by="clip")
    assert request.upscale == Upscale(factor=2)
    assert request.sizes == StatedSizes(crop=Corner(left=8))
    groups = {name.partition(".")[0] for name, _ in pairs if "." in name}
    assert groups == set(parts_of(GenerateRequest))


def test_lists_come_as_json() -> None:
    pairs = [("prompt", "[a] {fox}"), ("adapters", '[{"name": "ink", "weight": 0.5}, {"name": "line"}]')]
    request = GenerateRequest.model_validate(from_pairs(pairs))
    assert [(adapter.name, adapter.weight) for adapter in request.adapters] == [("ink", 0.5), ("line", None)]
    assert request.prompt == "[a] {fox}"
    with pytest.raises(InvalidRequestError, match="adapters"):
        from_pairs([("adapters", "[{")])


def test_what_nests_too_deep_is_told_to_come_as_json() -> None:
    with pytest.raises(InvalidRequestError, match=r"write sizes\.crop as JSON"):
        from_pairs([("sizes.crop.left", "8")])


def test_only_fields_that_have_fields_are_split() -> None:
    assert from_pairs([("a.b", "c")]) == {"a.b": "c"}
    assert from_pairs([("guidance.a.b", "c")]) == {"guidance": {"a.b": "c"}}


@pytest.mark.parametrize("value", ["true", "on", "1", "Yes", "{}"])
def test_guidance_can_be_turned_on_by_a_word(value: str) -> None:
    assert from_pairs([("guidance", value)]) == {"guidance": {}}
    assert from_pairs([("guidance.scale", "1"), ("guidance", value)]) == {"guidance": {"scale": "1"}}
    assert from_pairs([("guidance", value), ("guidance.scale", "1")]) == {"guidance": {"scale": "1"}}


@pytest.mark.parametrize("value", ["false", "off", "0", "no"])
def test_and_off(value: str) -> None:
    assert from_pairs([("guidance", value)]) == {"guidance": None}


def test_a_group_may_be_json() -> None:
    assert from_pairs([("guidance", '{"cutouts": 4}')]) == {"guidance": {"cutouts": 4}}


def test_lists_are_sent_one_by_one() -> None:
    pairs = [("webhook.events", "started"), ("webhook.events", "done")]
    assert from_pairs(pairs) == {"webhook": {"events": ["started", "done"]}}


def test_inputs_of_a_form_that_nobody_filled_in_do_not_count() -> None:
    assert from_pairs([("prompt", ""), ("seed", ""), ("guidance", ""), ("guidance.scale", "")]) == {
        "prompt": ""
    }


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([("prompt", "a"), ("prompt", "b")], "prompt"),
        ([("guidance.scale", "1"), ("guidance.scale", "2")], "guidance.scale"),
        ([("guidance", "off"), ("guidance.scale", "2")], "guidance.scale"),
        ([("guidance.scale", "2"), ("guidance", "off")], "guidance"),
        ([("webhook", "https://a.example"), ("webhook.events", "done")], "webhook.events"),
        ([("guidance", "{")], "guidance"),
        ([("guidance", '{"a":' * 100_000)], "guidance"),
    ],
)
def test_what_contradicts_itself_is_refused(pairs: list[tuple[str, str]], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        from_pairs(pairs)
    assert caught.value.field == field


def test_a_list_of_words_may_come_word_by_word_or_as_json() -> None:
    for pairs in ([("labels", "a"), ("labels", "b")], [("labels", '["a", "b"]')]):
        assert from_pairs(pairs) == {"labels": ["a", "b"]}
    assert from_pairs([("labels", "[a"), ("labels", "{b}")]) == {"labels": ["[a", "{b}"]}


def test_the_query_is_described_as_it_is_read() -> None:
    described = {each["name"]: each for each in query_parameters()}
    assert described["labels"]["schema"]["type"] == "array"
    for name in ("adapters", "controls", "image_prompts"):
        assert described[name]["content"]["application/json"]["schema"]["type"] == "array"
        assert "schema" not in described[name]
