"""Forms and queries, read as UTF-8, escaped or not. Anything else is refused, never guessed."""

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.intake.bodies import MULTIPART, URLENCODED, UnsupportedMediaTypeError, announced
from jobs.errors import InvalidRequestError, LodestarError

MAX_FIELDS = 100
"""Of a query, and of a form that is no upload."""
MAX_UPLOAD_FIELDS = 600
MAX_FILES = 600
_MAX_UPLOAD_FIELD_BYTES = 16 * 1024
_MAX_ESCAPES = 100_000
_LENIENT_FIELDS = 1000
# The default charset, and the other allowed ones. Some of Python's other codecs take a minute for a megabyte.
_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
}


class InvalidFormError(LodestarError):
    """The body is no form, though it is announced as one."""

    type = "invalid_form"


async def read_upload(request: Request) -> FormData:
    """The form of a request that may bring files; empty without a body.

    Raises:
        UnsupportedMediaTypeError: the body is announced as something else, or compressed.
        InvalidFormError: it cannot be read as a form.
        InvalidRequestError: it has too many fields, or text that is not UTF-8.
    """
    kind = announced(request).get_content_type()
    if kind == MULTIPART:
        return await read_multipart(request, MAX_UPLOAD_FIELDS, MAX_FILES, _MAX_UPLOAD_FIELD_BYTES)
    body = await request.body()
    if not body:
        return FormData()
    if kind == URLENCODED:
        return FormData(list(pairs_of(body, charset_of(request), MAX_UPLOAD_FIELDS)))
    raise UnsupportedMediaTypeError("send the fields and files as a form: multipart/form-data")


async def read_multipart(
    request: Request, max_fields: int, max_files: int, max_field_bytes: int = 1 << 20
) -> FormData:
    """The fields and files of a multipart form; the caller closes it.

    Raises:
        InvalidFormError, InvalidRequestError: as for ``read_upload``.
    """
    charset, boundary = charset_of(request), announced(request).get_boundary()
    # As Latin-1, the parser maps every byte to a character, from which the bytes can be restored.
    kind = f'{MULTIPART}; boundary="{_quoted(boundary)}"; charset=latin-1' if boundary else MULTIPART
    parser = MultiPartParser(
        Headers({"content-type": kind}),
        request.stream(),
        max_fields=max_fields,
        max_files=max_files,
        max_part_size=max_field_bytes,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "aximum" in error.message:
            raise InvalidRequestError(f"the form is more than is read: {error.message}") from error
        raise InvalidFormError(f"the form cannot be read: {error.message}") from error
    try:
        return FormData(list(_in_charset(form, charset)))
    except InvalidRequestError:
        await form.close()
        raise


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """The fields of a query.

    Raises:
        InvalidRequestError: it has too many, or text that is not UTF-8.
    """
    return list(pairs_of(request.scope["query_string"]))


def lenient_pairs(query: bytes) -> list[tuple[str, str]]:
    """The fields of a query, for a route that ignores unknown ones.

    Bytes that are not UTF-8 become characters that no text may hold, so that only their field is refused. Fields beyond
    the first thousand are not read.
    """
    split = (
        pair.partition(b"=")
        for pair in query.replace(b"+", b" ").split(b"&", _LENIENT_FIELDS)[:_LENIENT_FIELDS]
    )
    return [
        (
            unquote_to_bytes(name).decode(errors="replace"),
            unquote_to_bytes(value).decode(errors="surrogateescape"),
        )
        for name, _, value in split
    ]


def pairs_of(encoded: bytes, charset: str = "utf-8", most: int = MAX_FIELDS) -> Iterator[tuple[str, str]]:
    """The names and values of ``name=value&name=value``.

    Raises:
        InvalidRequestError: there are more than ``most``, or text that is not of this charset.
    """
    if (fields := encoded.count(b"&") + 1) > most:
        raise InvalidRequestError(f"{fields} fields are more than the {most} that a form or a query may have")
    if (escapes := encoded.count(b"%")) > _MAX_ESCAPES:
        raise InvalidRequestError(
            f"{escapes} escaped bytes are more than the {_MAX_ESCAPES} that are read; send JSON instead"
        )
    for pair in encoded.split(b"&"):
        if pair:
            name, _, value = (unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"="))
            known = name.decode(charset, "replace")
            yield _decoded(name, known, charset), _decoded(value, known, charset)


def charset_of(request: Request) -> str:
    """The charset of a form's text, by Python's name.

    Raises:
        UnsupportedMediaTypeError: it is announced in something that is not read.
    """
    named = str(announced(request).get_param("charset", "utf-8")).lower()
    if named not in _CHARSETS:
        raise UnsupportedMediaTypeError(f"text in {named[:50]} is not read; send it in UTF-8")
    return _CHARSETS[named]


def _in_charset(form: FormData, charset: str) -> Iterator[tuple[str, str | UploadFile]]:
    for name, value in form.multi_items():
        known = name.encode("latin-1").decode(charset, "replace")
        field = _decoded(name.encode("latin-1"), known, charset)
        if isinstance(value, UploadFile):
            # Only for display, so some letters may be lost.
            value.filename = (value.filename or "").encode("latin-1").decode(charset, "replace")
            yield field, value
        else:
            yield field, _decoded(value.encode("latin-1"), known, charset)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _decoded(text: bytes, name: str, charset: str) -> str:
    try:
        return text.decode(charset)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the text is not UTF-8: byte 0x{text[error.start]:02x} at position {error.start}", field=name
        ) from error
