"""The base of everything that crosses a process boundary, and the bounds that its fields share."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Wire(BaseModel):
    """Immutable, and without fields that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class AtMost:
    """The most items of a list, or fields of an object: ``Annotated[tuple[int, ...], AtMost(32)]``.

    They are counted before any of them is looked at. ``max_length`` counts when every item has been checked, and each
    that is wrong has become an error: half a million of them take seconds and a gigabyte.
    """

    items: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Count first, then do as before."""
        return core_schema.no_info_before_validator_function(self._counted, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As before, with the bound."""
        described = handler(schema)
        bound = "maxProperties" if described.get("type") == "object" else "maxItems"
        return {**described, bound: self.items}

    def _counted(self, value: object) -> object:
        if isinstance(value, list | tuple | dict | set | frozenset) and len(value) > self.items:
            raise PydanticCustomError(
                "too_long",
                "Input should have at most {max_length} items, not {actual_length}",
                {"max_length": self.items, "actual_length": len(value)},
            )
        return value


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text may not hold the character NUL")
    return text


MAX_TEXT_CHARS = 2000
_NO_NUL = (AfterValidator(_without_nul), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}))
# What a person writes. Pictures carry it in their text chunks, where NUL ends a text.
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), *_NO_NUL]
SomeText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), *_NO_NUL]
