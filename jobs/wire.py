"""The base of models that cross a process boundary, and the bounds that their fields share."""

import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Formerly:
    """The name of a field in earlier versions: ``num_images: Annotated[int, Formerly("images")]``.

    A ``Wire`` reads the field by either name, in whatever form it comes, and shows the present one alone. Redis keeps
    the former one (see ``dump_as_stored``), so that workers of both versions read what either has stored.
    """

    name: str


class Wire(BaseModel):
    """Immutable; refuses undeclared fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    answered: "ClassVar[type[Wire] | None]" = None
    """For a part of a request: the form in which answers show it, which may be sent again."""

    @model_validator(mode="before")
    @classmethod
    def _without_the_computed(cls, fields: Any) -> Any:
        """An answer's form has every field; those are left out that only the server computes."""
        known = set() if cls.answered is None else cls.answered.model_fields.keys()
        if not known or not isinstance(fields, dict) or not known <= fields.keys():
            return fields
        computed = known - cls.model_fields.keys()
        return {name: value for name, value in fields.items() if name not in computed}

    @model_validator(mode="before")
    @classmethod
    def _by_present_names(cls, fields: Any) -> Any:
        renamed = former_names(cls)
        if not renamed or not isinstance(fields, dict) or renamed.keys().isdisjoint(fields):
            return fields
        for old, new in renamed.items():
            if old in fields and fields.get(new, fields[old]) != fields[old]:
                raise contradiction(
                    cls, new, fields[new], f"{old} is the former name of {new}: give one of them"
                )
        return {renamed.get(name, name): value for name, value in fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _without_flags_for_numbers(cls, fields: Any) -> Any:
        """Python takes ``false`` for 0; in JSON it is none."""
        if isinstance(fields, dict):
            for name, value in fields.items():
                if isinstance(value, bool) and name in _numbers_of(cls):
                    word = "true" if value else "false"
                    raise contradiction(cls, name, value, f"Input should be a number, not {word}")
        return fields

    def former_values(self, fields: dict[str, Any]) -> dict[str, Any]:
        """JSON ``fields`` of this model with values as earlier versions wrote them; here all are alike."""
        return fields


@cache
def former_names(model: type[BaseModel]) -> dict[str, str]:
    """The present names of a model's renamed fields, by their former ones."""
    return {
        mark.name: name
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Formerly)
    }


@cache
def _numbers_of(model: type[BaseModel]) -> frozenset[str]:
    """A model's fields that may be numbers, and may not be true or false."""
    kinds = {name: set(_kinds(field.annotation)) for name, field in model.model_fields.items()}
    return frozenset(name for name, found in kinds.items() if found & {int, float} and bool not in found)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a field may have, without their bounds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _kinds(each)
    else:
        yield annotation


def contradiction(model: type[BaseModel], field: str, value: object, message: str) -> ValidationError:
    """The error of a field whose value contradicts another one, for a validator of the whole model to raise."""
    error = PydanticCustomError("contradiction", "{message}", {"message": message})
    return ValidationError.from_exception_data(
        model.__name__, [{"type": error, "loc": (field,), "input": value}]
    )


def same_field(model: type[BaseModel], name: str, default: object = None) -> Any:
    """A field with the description and the examples of another model's, and a default.

    A request and its resolved form share the meaning of a field. Only the request has bounds: other versions, with
    other bounds, read the stored form.
    """
    field = copy(model.model_fields[name])
    field.default = default
    return field


def dump_as_stored(model: Wire) -> dict[str, Any]:
    """The JSON of a model as Redis keeps it: by the former names of its fields, and without what is by default."""
    return _by_former_names(model, model.model_dump(mode="json", exclude_defaults=True))


def _by_former_names(model: Wire, fields: dict[str, Any]) -> dict[str, Any]:
    former = {new: old for old, new in former_names(type(model)).items()}
    inner = {name: value for name in fields if isinstance(value := getattr(model, name), Wire)}
    return {
        former.get(name, name): _by_former_names(inner[name], value) if name in inner else value
        for name, value in model.former_values(fields).items()
    }


@dataclass(frozen=True)
class AtMost:
    """The most items of a list, or fields of an object: ``Annotated[tuple[int, ...], AtMost(32)]``.

    The count comes before the items' validation. ``max_length`` would count after it, when each wrong item has become
    an error: half a million of them take seconds and a gigabyte.
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


def _in_words(text: str) -> str:
    # OpenCLIP's tokenizer takes the square of a word's length: 0.8 s for 2000 letters.
    if _UNBROKEN.search(text):
        raise ValueError(
            f"a text may have {MAX_UNBROKEN_CHARS} letters or signs without a break, and no more"
        )
    return text


MAX_ID_CHARS = 100
MAX_TEXT_CHARS = 4000
MAX_UNBROKEN_CHARS = 2000
MAX_QUERY_CHARS = 2000  # of a text that kept pictures are compared with
MAX_SEARCH_CHARS = 200  # of a text that prompts are looked through for
_UNBROKEN = re.compile(rf"[^\W\d_]{{{MAX_UNBROKEN_CHARS + 1}}}|(?:[^\w\s]|_){{{MAX_UNBROKEN_CHARS + 1}}}")
_READABLE = (
    AfterValidator(_without_nul),
    AfterValidator(_in_words),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}),
)
MAX_LABELS = 20
Label = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A word by which a caller finds jobs again; it stands in keys of Redis, and in lines of lists."""
Labels = Annotated[
    tuple[Label, ...], AtMost(MAX_LABELS), AfterValidator(lambda labels: tuple(dict.fromkeys(labels)))
]
# Text of a person. Pictures carry it in their text chunks, where NUL ends a text.
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), *_READABLE]
SearchText = Annotated[str, Field(min_length=1, max_length=MAX_SEARCH_CHARS), *_READABLE]
SomeText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), *_READABLE]
