"""Write ``docs/request.md``, every field of a request, from its schema: ``python -m docs.make_reference``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.requests.request import GenerateRequest

PAGE = Path(__file__).parent / "request.md"
_HEAD = """# Every field of a request

`POST /v1/jobs` and `POST /v1/images` take these fields; the other dialects take them beside their own. Only `prompt` is
required. `python -m docs.make_reference` writes this page from the schema; the running service shows it at `/docs`.
"""
_COLUMNS = "| field | value | left out | |\n|---|---|---|---|"

Schema = Mapping[str, Any]


def reference() -> str:
    """The page."""
    schema = GenerateRequest.model_json_schema(ref_template="{model}")
    definitions = schema["$defs"]
    parts = [_HEAD, "## Request\n", _table(schema, definitions)]
    for name in _objects(schema, definitions):
        parts += [f"\n## {name}\n", f"{_one_line(definitions[name].get('description', ''))}\n"]
        parts.append(_table(definitions[name], definitions))
    return "\n".join(parts) + "\n"


def _objects(schema: Schema, definitions: Mapping[str, Schema]) -> list[str]:
    """Names of the objects that fields hold, in order of first use."""
    found: list[str] = []
    for field in schema["properties"].values():
        for name in _references(field):
            if "properties" in definitions[name] and name not in found:
                found += [name, *_objects(definitions[name], definitions)]
    return list(dict.fromkeys(found))


def _references(field: Any) -> Iterator[str]:
    if isinstance(field, Mapping):
        if "$ref" in field:
            yield field["$ref"]
        for name, part in field.items():
            if name not in {"examples", "default", "discriminator"}:
                yield from _references(part)
    elif isinstance(field, list):
        for part in field:
            yield from _references(part)


def _table(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    required = schema.get("required", [])
    rows = [
        f"| `{name}` | {_value(field, definitions)} | {_left_out(name in required, field)} "
        f"| {_one_line(field.get('description', ''))} |"
        for name, field in schema["properties"].items()
    ]
    return "\n".join([_COLUMNS, *rows])


def _value(field: Schema, definitions: Mapping[str, Schema]) -> str:
    """The type and bounds of a field, in words."""
    if "$ref" in field:
        target = definitions[field["$ref"]]
        return (
            f"[{field['$ref']}](#{field['$ref'].lower()})" if "properties" in target else _value(target, {})
        )
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kinds = field.get("anyOf") or field.get("oneOf")
    if kinds:
        return " or ".join(_value(kind, definitions) for kind in kinds if kind.get("type") != "null")
    if field["type"] == "array":
        return f"list of {_value(field['items'], definitions)}"
    return " ".join(part for part in (_KINDS[field["type"]], _bounds(field)) if part)


_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}


def _bounds(field: Schema) -> str:
    if "maxLength" in field:
        return f"of up to {field['maxLength']} characters"
    low = _bound(field, "minimum", "exclusiveMinimum", "more than")
    high = _bound(field, "maximum", "exclusiveMaximum", "less than")
    if low and high:
        return f"from {low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else ""


def _bound(field: Schema, inclusive: str, exclusive: str, words: str) -> str:
    if inclusive in field:
        return f"{field[inclusive]:g}" if abs(field[inclusive]) < 10**6 else str(int(field[inclusive]))
    return f"{words} {field[exclusive]:g}" if exclusive in field else ""


def _left_out(is_required: bool, field: Schema) -> str:
    if is_required:
        return "*needed*"
    default = field.get("default")
    if default is None:
        return ""
    if isinstance(default, list):
        return ", ".join(f"`{value}`" for value in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else "empty"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
