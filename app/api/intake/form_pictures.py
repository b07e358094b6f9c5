"""Pictures as files of a form: each becomes the base64 of its field."""

import base64
from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel
from starlette.datastructures import UploadFile

from app.api.intake.form_schema import dotted
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import PICTURE_FORMAT

MAX_FILES = 8
MAX_FILE_BYTES = 20 << 20  # of one in memory; larger ones can be uploaded before


@cache
def picture_fields(model: type[BaseModel]) -> frozenset[str]:
    """The dotted names of the form fields that take a picture."""
    fields = dotted(model)["properties"]
    return frozenset(name for name, field in fields.items() if field.get("format") == PICTURE_FORMAT)


def with_pictures_as_text(
    items: list[tuple[str, str | UploadFile]], model: type[BaseModel]
) -> Iterator[tuple[str, str]]:
    """The fields of a form, its files in base64.

    Raises:
        InvalidRequestError: a field takes no picture, or a file is too long.
    """
    for name, value in items:
        yield name, value if isinstance(value, str) else _in_base64(name, value, picture_fields(model))


def _in_base64(name: str, file: UploadFile, taking: frozenset[str]) -> str:
    if name not in taking:
        fields = ", ".join(sorted(taking))
        raise InvalidRequestError(
            f"{name} is a file, and "
            + (f"these fields take one: {fields}" if fields else "no field takes one"),
            field=name,
        )
    data = file.file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidRequestError(
            f"the file has more than {MAX_FILE_BYTES >> 20} MiB; upload it to /v1/uploads and give its id",
            field=name,
        )
    return base64.b64encode(data).decode()
