"""The request in a picture's file, as A1111's web UI writes and reads it; see ``worker/pictures/infotext.py``."""

import io
import json
import re
from contextlib import suppress

from PIL import Image

from jobs.errors import InvalidFileError
from jobs.pictures.mark import PNG_KEYWORD
from jobs.pictures.reader import check_header

_LEAST_FIELDS = 3  # of the last line; with fewer it belongs to the prompt
_FIELD = re.compile(r'(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"
_SIZE = re.compile(r"(\d+)x(\d+)")
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_CHARSETS = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii"}
_MAX_CHARS = 20_000  # so that the search for fields is quick whatever the text is


def texts_of(file: bytes, *, field: str) -> dict[str, str]:
    """The texts in a picture's file by their names: ``parameters`` is the request.

    Args:
        file: PNG, JPEG or WebP; its pixels are not decoded, so that texts after those of a PNG are not found.
        field: of the request, for the error.

    Raises:
        InvalidFileError: it is of another format, too large or damaged.
    """
    header = check_header(io.BytesIO(file), "the picture", field=field)
    try:
        with Image.open(io.BytesIO(file), formats=[header.form]) as picture:
            texts = {str(name): value for name, value in picture.info.items() if isinstance(value, str)}
            texts.pop(PNG_KEYWORD, None)  # no text, but a mark
            comment: object = None
            if "exif" in picture.info:  # else Pillow decodes all pixels of a PNG to look for it
                comment = picture.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except Exception as error:  # each of Pillow's plugins raises its own kinds for a damaged file
        raise InvalidFileError(f"the picture is a damaged {header.form} file", field=field) from error
    if isinstance(comment, bytes) and (charset := _CHARSETS.get(comment[:8])):
        texts.setdefault("parameters", comment[8:].decode(charset, "replace"))
    return {name: text[:_MAX_CHARS] for name, text in texts.items()}


def parameters_of(text: str) -> dict[str, str]:
    """The prompts and the fields of a request's text; a ``Size`` of ``64x48`` also as ``Size-1`` and ``Size-2``."""
    *lines, last = text.strip().split("\n")
    found = _FIELD.findall(last)
    if len(found) < _LEAST_FIELDS:
        lines, found = [*lines, last], []
    positive, negative = _prompts(lines)
    parameters = {"Prompt": positive, "Negative prompt": negative}
    for name, value in found:
        parameters[name] = _unquoted(value)
        if size := _SIZE.fullmatch(value):
            parameters |= {f"{name}-1": size[1], f"{name}-2": size[2]}
    return parameters


def _prompts(lines: list[str]) -> tuple[str, str]:
    starts = [number for number, line in enumerate(lines) if line.startswith(_NEGATIVE)]
    split = starts[0] if starts else len(lines)
    negative = "\n".join(lines[split:]).removeprefix(_NEGATIVE)
    return "\n".join(lines[:split]).strip(), negative.strip()


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        with suppress(ValueError):
            return str(json.loads(value))
    return value.strip()
