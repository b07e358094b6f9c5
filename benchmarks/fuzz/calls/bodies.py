"""Bodies made up from a model's JSON schema: mostly right ones, each with a part or two changed now and then."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benchmarks.fuzz.corpus.named import picture_texts
from jobs.requests.pictures import PICTURE_FORMAT

Schema = Mapping[str, Any]
Definitions = Mapping[str, Schema]

_MOST_FIELDS = 5
_ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\x1b[31m",
    "‮txt",
    "🍎" * 700,
    "é" * 2001,
    "a" * 100_000,
    "null",
    "NaN",
    "-1",
    "../../etc/passwd",
    "%00",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "\r\nX-Evil: 1",
)
_ODD_NUMBERS = (
    0,
    -1,
    1,
    2**31,
    2**32,
    2**63,
    2**64,
    -(2**63),
    10**30,
    0.5,
    -0.0,
    5e-324,
    1e-9,
    1e308,
    -1e308,
)
_ANYTHING: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(_ODD_NUMBERS)
    | st.sampled_from(_ODD_TEXTS)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


def fitting(schema: Schema, definitions: Definitions) -> SearchStrategy[Any]:
    """Values that a schema allows, as far as it says what it allows in the ways that pydantic does."""
    if "$ref" in schema:
        return st.deferred(lambda: fitting(definitions[schema["$ref"].rpartition("/")[2]], definitions))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.one_of([fitting(each, definitions) for each in schema[word]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(int(_low(schema, -1000)), int(_high(schema, 1000)))
        case "number":
            return st.floats(_low(schema, -1000), _high(schema, 1000), exclude_min=_is_open(schema))
        case "string" if schema.get("format") == PICTURE_FORMAT:
            return st.sampled_from(picture_texts())
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 30), 30))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(
                fitting(schema.get("items", {}), definitions), max_size=min(schema.get("maxItems", 3), 3)
            )
        case "object" if "properties" in schema:
            return _objects(schema, definitions)
        case "object":
            return st.dictionaries(st.text(max_size=8), _ANYTHING, max_size=3)
    return _ANYTHING


def _low(schema: Schema, otherwise: float) -> float:
    return float(schema.get("minimum", schema.get("exclusiveMinimum", otherwise)))


def _high(schema: Schema, otherwise: float) -> float:
    return float(schema.get("maximum", schema.get("exclusiveMaximum", otherwise)))


def _is_open(schema: Schema) -> bool:
    return "exclusiveMinimum" in schema


@st.composite
def _objects(draw: st.DrawFn, schema: Schema, definitions: Definitions) -> dict[str, Any]:
    fields: Mapping[str, Schema] = schema["properties"]
    needed: Sequence[str] = schema.get("required", ())
    others = [name for name in fields if name not in needed]
    chosen = draw(st.lists(st.sampled_from(others), unique=True, max_size=_MOST_FIELDS)) if others else []
    return {name: draw(fitting(fields[name], definitions)) for name in (*needed, *chosen)}


@st.composite
def bodies(draw: st.DrawFn, schema: Schema) -> Any:
    """Bodies for a model of this schema: half of them fit, the others are wrong at one place or two."""
    body = draw(fitting(schema, schema.get("$defs", {})))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        body = draw(_changed(body))
    return body


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """The same with something else at one place of it."""
    if isinstance(value, dict) and draw(st.booleans()):
        name = draw(st.sampled_from([*value, "no_such_field"]))
        return {**value, name: draw(_changed(value.get(name)))}
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(_changed(value[index])), *value[index + 1 :]]
    return draw(_ANYTHING)
