"""Bounds that fields share, and fields that had another name."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.wire import AtMost, Formerly, Text, Wire, dump_as_stored

looked_at: list[Any] = []
Watched = Annotated[int, BeforeValidator(lambda item: (looked_at.append(item), item)[1])]


class Lists(BaseModel):
    some: Annotated[tuple[Watched, ...], AtMost(3)] | None = None
    named: Annotated[dict[str, Watched], AtMost(3)] | None = None


@pytest.mark.parametrize("items", [{"some": ["x"] * 4}, {"named": dict.fromkeys("abcd", "x")}])
def test_items_are_counted_before_any_of_them_is_looked_at(items: dict[str, Any]) -> None:
    looked_at.clear()
    with pytest.raises(ValidationError) as caught:
        Lists.model_validate(items)
    (error,) = caught.value.errors()
    assert (error["type"], error["ctx"]) == ("too_long", {"max_length": 3, "actual_length": 4})
    assert looked_at == []


def test_as_many_as_may_be_are_looked_at_as_ever() -> None:
    assert Lists.model_validate({"some": ["1", 2, 3], "named": {"a": 1}}).some == (1, 2, 3)
    with pytest.raises(ValidationError) as caught:
        Lists.model_validate({"some": ["x", 2, "y"]})
    assert [error["loc"] for error in caught.value.errors()] == [("some", 0), ("some", 2)]


def test_the_schema_tells_the_bound() -> None:
    properties = Lists.model_json_schema()["properties"]
    assert properties["some"]["anyOf"][0]["maxItems"] == 3
    assert properties["named"]["anyOf"][0]["maxProperties"] == 3


def test_half_a_million_wrong_objectives_are_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Guidance.model_validate({"objectives": [0] * 500_000})
    (error,) = caught.value.errors()
    assert (error["loc"], error["ctx"]["max_length"]) == (("objectives",), 32)


def test_a_text_may_hold_anything_but_nul() -> None:
    text: TypeAdapter[str] = TypeAdapter(Text)
    assert text.validate_python("\x01\n\x1b\u2028\N{RED APPLE}") == "\x01\n\x1b\u2028\N{RED APPLE}"
    with pytest.raises(ValidationError, match="NUL"):
        text.validate_python("a\0b")


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a\0"},
        {"prompt": "a", "negative_prompt": "\0"},
        {"prompt": "a", "guidance": {"prompt": "\0"}},
        {"prompt": "a", "guidance": {"objectives": [{"type": "text", "text": "a\0b"}]}},
        {"prompt": "a", "personalization": {"embedding": "warm", "text": "a\0b"}},
    ],
)
def test_no_text_that_a_picture_carries_holds_nul(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="NUL"):
        GenerateRequest.model_validate(fields)


class Inner(Wire):
    scorer: Annotated[str | None, Formerly("judge")] = None


class Renamed(Wire):
    num_images: Annotated[int, Formerly("images")] = Field(1, ge=1, le=16)
    inner: Inner = Inner()


@pytest.mark.parametrize("value", [3, "3"])
def test_a_field_is_read_by_its_former_name_too(value: object) -> None:
    assert Renamed.model_validate({"images": value}) == Renamed(num_images=3)
    assert Renamed.model_validate_json(f'{{"images": {value}}}') == Renamed(num_images=3)
    assert Renamed.model_validate({"inner": {"judge": "s"}}) == Renamed(inner=Inner(scorer="s"))


def test_both_names_may_say_the_same_but_not_two_things() -> None:
    assert Renamed.model_validate({"images": 3, "num_images": 3}).num_images == 3
    with pytest.raises(ValidationError) as caught:
        Renamed.model_validate({"inner": {"judge": "s", "scorer": "m"}})
    (error,) = caught.value.errors()
    assert error["loc"] == ("inner", "scorer")
    assert error["msg"] == "judge is the former name of scorer: give one of them"


def test_a_former_name_is_bound_as_the_present_one_and_opens_no_other() -> None:
    for fields, loc in (({"images": 17}, ("num_images",)), ({"pictures": 2}, ("pictures",))):
        with pytest.raises(ValidationError) as caught:
            Renamed.model_validate(fields)
        assert [error["loc"] for error in caught.value.errors()] == [loc]


def test_only_what_is_stored_has_the_former_names() -> None:
    renamed = Renamed(num_images=3, inner=Inner(scorer="s"))
    assert renamed.model_dump() == {"num_images": 3, "inner": {"scorer": "s"}}
    assert dump_as_stored(renamed) == {"images": 3, "inner": {"judge": "s"}}
    assert Renamed.model_json_schema()["properties"].keys() == {"num_images", "inner"}
    assert Renamed.model_validate(dump_as_stored(renamed)) == renamed


class Numbers(Wire):
    whole: int = 0
    share: Annotated[float | None, Field(ge=0)] = None
    several: int | Annotated[float, Field(gt=2)] = 3
    flag: bool = False
    either: bool | int = 0
    word: str = ""


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("name", ["whole", "share", "several"])
def test_true_and_false_are_no_numbers(name: str, value: bool) -> None:
    with pytest.raises(ValidationError) as caught:
        Numbers.model_validate({name: value})
    (error,) = caught.value.errors()
    assert (error["loc"], error["msg"]) == ((name,), f"Input should be a number, not {str(value).lower()}")


def test_what_may_be_true_may_be_true() -> None:
    assert Numbers.model_validate({"flag": True, "either": True}).either is True
