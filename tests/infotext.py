"""A strict reader of infotexts, written from their grammar: what it cannot read whole is an error."""

import json
import re

_FIELD = re.compile(r'(\w[\w /-]+): ("(?:\\.|[^"\\])*"|[^",:\n][^,:\n]*)(?:, |$)')
_FEWEST = 3  # fields, without which a reader takes the last line for a part of the prompt
NEGATIVE = "Negative prompt: "


def read_infotext(text: str) -> tuple[str, str, dict[str, str]]:
    """The prompt, the negative prompt and the fields of an infotext.

    Raises:
        ValueError: a part of the last line is no field.
    """
    *lines, last = text.split("\n")
    fields: dict[str, str] = {}
    place = 0
    while place < len(last):
        found = _FIELD.match(last, place)
        if found is None or found[1] in fields:
            raise ValueError(f"no field at {place} of {last!r}")
        fields[found[1]] = json.loads(found[2]) if found[2].startswith('"') else found[2]
        place = found.end()
    if len(fields) < _FEWEST:
        raise ValueError(f"too few fields: {last!r}")
    start = next((number for number, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    negative = "\n".join(lines[start:]).removeprefix(NEGATIVE)
    return "\n".join(lines[:start]), negative, fields
