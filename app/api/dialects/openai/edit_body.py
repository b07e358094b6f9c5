"""Reads the body of an edit or a variation: a form with files, as the SDK sends it, or JSON."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from app.api.dialects.openai.edit import Body, ImageEdit
from app.api.dialects.refusals import NotSupportedError
from app.api.intake.bodies import MULTIPART, UnsupportedMediaTypeError, announced, is_json, parse_object
from app.api.intake.fields import from_pairs
from app.api.intake.form_pictures import with_pictures_as_text
from app.api.intake.forms import MAX_FIELDS, read_multipart
from app.api.problems.validation import in_body
from jobs.errors import InvalidRequestError

_MAX_FILES = 20  # OpenAI takes 16 pictures, so that many are refused in words
_MAX_FIELD_BYTES = 256 << 10
_WITHOUT_EFFECT = frozenset({"markup", "svg"})
_PICTURES = frozenset({"image", "images"})
_ITEM = re.compile(r"(?P<list>\w+)\[\]\[(?P<field>\w+)\]", re.ASCII)  # a field of an object in a list


async def read_edit(request: Request, model: type[Body]) -> Body:
    """The body of a request.

    Raises:
        NotSupportedError: it has several pictures to start from.
        RequestValidationError: a field is unknown, missing or wrong.
        InvalidRequestError: a field came twice, or is a file where it takes none.
        InvalidJsonError, InvalidFormError: it is neither JSON nor a form.
        UnsupportedMediaTypeError: it is of another type.
    """
    fields = await _fields(request, model)
    if isinstance(init := fields.get("init"), dict) and "image" in fields:
        init.setdefault("image", fields["image"])  # so that its other fields can be given
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise in_body(error) from error


async def _fields(request: Request, model: type[ImageEdit]) -> dict[str, Any]:
    if announced(request).get_content_type() == MULTIPART:
        form = await read_multipart(request, MAX_FIELDS, _MAX_FILES, _MAX_FIELD_BYTES)
        try:
            items = form.multi_items()
            named = list(_named((name, value) for name, value in items if not _ITEM.fullmatch(name)))
            _require_one([name for name, _ in named if name == "image"])
            return from_pairs(with_pictures_as_text(named, model)) | _lists(items)
        finally:
            await form.close()
    body = await request.body()
    if is_json(request, body):
        return _of_json(parse_object(body))
    raise UnsupportedMediaTypeError("send the fields and files as a form (multipart/form-data) or as JSON")


def _lists(items: Iterable[tuple[str, str | UploadFile]]) -> dict[str, list[dict[str, Any]]]:
    """The lists of objects, as the SDK writes them: ``adapters[][name]`` of each object, then ``adapters[][weight]``.

    Raises:
        InvalidRequestError: a field is a file, or is not given for each object: the form does not say for which.
    """
    columns: dict[str, dict[str, list[str]]] = {}
    for name, value in items:
        if (found := _ITEM.fullmatch(name)) is None:
            continue
        if isinstance(value, UploadFile):
            raise InvalidRequestError("a field of a list takes no file: send it as base64", field=name)
        columns.setdefault(found["list"], {}).setdefault(found["field"], []).append(value)
    for name, fields in columns.items():
        count = max(map(len, fields.values()))
        if few := [field for field, values in fields.items() if len(values) < count]:
            raise InvalidRequestError(
                f"a form does not tell which of {count} {name} has which {few[0]}: give it for each",
                field=name,
            )
    return {
        name: [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
        for name, fields in columns.items()
    }


def _named(items: Iterable[tuple[str, str | UploadFile]]) -> Iterator[tuple[str, str | UploadFile]]:
    """The items by the names that other forms here have: of ``guidance[scale]`` it is ``guidance.scale``."""
    told = set()
    for name, value in items:
        plain = name.removesuffix("[]").replace("[", ".").replace("]", "")
        group = plain.partition(".")[0]
        if group not in _WITHOUT_EFFECT:
            yield ("mask.image" if plain == "mask" else plain), value
        elif group not in told:
            told.add(group)
            yield group, "given"


def _of_json(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a body whose pictures are texts, or objects with a text."""
    pictures = [picture for name in body.keys() & _PICTURES for picture in _listed(body[name])]
    rest = {name: value for name, value in body.items() if name not in _PICTURES}
    if isinstance(rest.get("mask"), dict):
        rest["mask"] = _text_of(rest["mask"])
    _require_one(pictures)
    return {**rest, **({"image": _text_of(pictures[0])} if pictures else {})}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text_of(picture: Any) -> Any:
    if not isinstance(picture, dict):
        return picture
    return picture.get("image_url") or picture.get("file_id") or picture


def _require_one(pictures: list[Any]) -> None:
    if len(pictures) > 1:
        raise NotSupportedError(
            f"{len(pictures)} pictures are not supported: every model here starts from one", field="image"
        )
