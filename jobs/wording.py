"""What pydantic says of a wrong value, in the words of JSON and TOML instead of Python's."""

from collections.abc import Mapping
from typing import Any

_A_LIST, _AN_OBJECT = "Input should be a list", "Input should be an object"
_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type"), _A_LIST),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), _AN_OBJECT
    ),
}


def wording(error: Mapping[str, Any]) -> str:
    """The message of one of pydantic's errors; one of our own as it is."""
    # Before a message of our own, pydantic says of which class it was raised.
    return _WORDS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")
