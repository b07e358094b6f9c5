"""Reading JSON from outside: what is refused, in which words, and what is read."""

import json
from typing import Any

import pytest

from app.api.intake.json_text import MAX_DEPTH, MAX_FIELDS, MAX_ITEMS, NotJsonError, TooMuchError, read_json


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_every_encoding_of_unicode_is_read(encoding: str) -> None:
    value = {"prompt": "ein roter Ärmel 日本 🍎", "n": [1, 2.5, None, True]}
    assert read_json(json.dumps(value, ensure_ascii=False).encode(encoding)) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not valid JSON: Expecting property name enclosed in double quotes at character 1"),
        (b'{"a": 1,}', "is not valid JSON"),
        (b"", "is not valid JSON"),
        ('{"prompt": "Ärmel"}'.encode("latin-1"), "is not UTF-8: byte 0xc4 at position 12"),
        (b"\xff\xfe{", "is not UTF-16"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "holds a number of more than 4300 digits"),
        (b"[" * 100_000, "is nested too deep"),
        (b'{"a":' * 100_000, "is nested too deep"),
        (b'[{"a": ' * 2000, "is nested too deep"),
    ],
)
def test_what_is_no_json_is_told_why(data: bytes, words: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        read_json(data)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("value", "place", "limit"),
    [
        ({"guidance": {"objectives": [0] * (MAX_ITEMS + 1)}}, ("guidance", "objectives"), MAX_ITEMS),
        ({"a": [[], [0] * 60_000]}, ("a", 1), MAX_ITEMS),
        ([0] * 500_000, (), MAX_ITEMS),
        ({str(number): 0 for number in range(95_000)}, (), MAX_FIELDS),
        ({"a": {str(number): 0 for number in range(MAX_FIELDS)}}, ("a",), MAX_FIELDS),
        ({"a": nested(MAX_DEPTH)}, ("a", 0, 0), MAX_DEPTH),
    ],
)
def test_what_is_too_much_names_the_place_and_the_limit(
    value: Any, place: tuple[str | int, ...], limit: int
) -> None:
    with pytest.raises(TooMuchError) as caught:
        read_json(json.dumps(value).encode())
    assert (caught.value.place, caught.value.limit) == (place, limit)
    assert str(limit) in caught.value.message


@pytest.mark.parametrize("item", [b"[]", b"{}", b"[[]]", b"[" * 90 + b"]" * 90])
def test_more_lists_and_objects_than_any_request_has_are_not_even_parsed(item: bytes) -> None:
    # Nor is it noticed that they are no JSON.
    with pytest.raises(TooMuchError, match="more than 10000 lists and objects"):
        read_json(b"[" + b",".join([item] * 20_000))


def test_the_largest_that_may_be_is_read() -> None:
    value = {
        "list": [0] * MAX_ITEMS,
        "deep": nested(MAX_DEPTH - 1),
        "many": {str(number): "," * 20 for number in range(MAX_FIELDS - 3)},
    }
    assert read_json(json.dumps(value).encode()) == value
