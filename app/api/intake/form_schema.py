"""The schema of a form in OpenAPI. Its fields are text: none is null, and nothing nests."""

from typing import Any

from pydantic import BaseModel

_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def without_null(properties: dict[str, Any]) -> dict[str, Any]:
    """The fields of a model, none of which may be null."""
    return {name: _not_null(field) for name, field in properties.items()}


def parts_of(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """The fields of those fields of a model that have some: ``{"upscale": {"factor": ...}}``."""
    schema = model.model_json_schema()
    groups = {
        name: schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
        for name, field in without_null(schema["properties"]).items()
    }
    return {
        name: without_null(group["properties"]) for name, group in groups.items() if "properties" in group
    }


def lists_of(model: type[BaseModel]) -> frozenset[str]:
    """The dotted names of lists of words, which a query or a form may hold several times."""
    schemas = model.model_json_schema()
    return frozenset(
        name
        for name, field in _fields_of(model).items()
        if field.get("type") == "array" and _resolved(field["items"], schemas).get("type") == "string"
    )


def nested_in(model: type[BaseModel]) -> frozenset[str]:
    """The dotted names of fields that are objects or lists."""
    return frozenset(name for name, field in _fields_of(model).items() if not _is_scalar(field))


def dotted(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a form for a model: a field of a field has a dotted name, ``guidance.scale``.

    No field is required, since the query may hold it. Lists and objects, which a form can hold as JSON, are left out.
    """
    schema = model.model_json_schema()
    fields: dict[str, Any] = {}
    for name, field in without_null(schema["properties"]).items():
        group = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
        inner = without_null(group.get("properties", {}))
        fields |= {f"{name}.{part}": each for part, each in inner.items()} or {name: _resolved(field, schema)}
    scalars = {name: field for name, field in fields.items() if _is_scalar(field)}
    return {"type": "object", "properties": scalars, "additionalProperties": False}


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a model, and with dotted names those of its fields."""
    fields = without_null(model.model_json_schema()["properties"])
    inner = {
        f"{group}.{name}": field for group, parts in parts_of(model).items() for name, field in parts.items()
    }
    return {**fields, **inner}


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {
        key: value for key, value in field.items() if key != "anyOf" and (key, value) != ("default", None)
    }
    if not kinds:
        return rest
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A field with a reference to an enumeration replaced by the enumeration."""
    name = field.get("$ref", "").rpartition("/")[2]
    return {**{key: value for key, value in field.items() if key != "$ref"}, **schema["$defs"].get(name, {})}


def _is_scalar(field: dict[str, Any]) -> bool:
    return all(kind.get("type") in _SCALARS for kind in field.get("anyOf", (field,)))
