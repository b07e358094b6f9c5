"""Pictures that callers bring: paths, file contents, Pillow's pictures, arrays, and pictures that the server has."""

import base64
import io
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from lodestar.errors import MissingPackageError, NotReadableError

PictureLike = Any
"""A path, the bytes of a file, a ``PIL.Image.Image``, an array (height, width[, 3 or 4]), or a ``Picture``.

A text is the path of a file if one is there or if it has a suffix; else a job's id, for all of its pictures, or
``JOB/INDEX`` for one. Arrays have numbers of 8 bits, or floats from 0 to 1.
"""

File = tuple[str, tuple[str, bytes]]


def split(pictures: PictureLike | Iterable[PictureLike], field: str) -> tuple[list[File], list[str]]:
    """Pictures as parts of a form, and the names of those that the server has.

    Raises:
        NotReadableError: one cannot be read.
    """
    files: list[File] = []
    refs: list[str] = []
    for picture in (pictures,) if _is_picture(pictures) or not isinstance(pictures, Iterable) else pictures:
        if isinstance(picture, str) and not _is_path(picture):
            refs.append(picture)
        else:
            files.append((field, named_file(picture)))
    return files, refs


def named_or_path(text: str) -> str | Path:
    """A text as the path of a file if it is one, else as the name of a picture of the server."""
    return Path(text) if _is_path(text) else text


def named_file(picture: PictureLike) -> tuple[str, bytes]:
    """The name and the content of a picture or of another file.

    Raises:
        NotReadableError: it cannot be read, or is of no kind that is taken.
    """
    if isinstance(picture, bytes | bytearray):
        return "picture", bytes(picture)
    if isinstance(picture, str | PathLike):
        path = Path(picture)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise NotReadableError(f"cannot read {path}: {error.strerror}") from error
    if isinstance(data := getattr(picture, "data", None), bytes):
        return "picture", data
    return "picture.png", _png(picture)


def with_files_inline(value: Any) -> Any:
    """A field's value with every picture in it as base64, which requests take; texts stay as they are."""
    if isinstance(value, Mapping):
        return {name: with_files_inline(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_files_inline(inner) for inner in value]
    if not isinstance(value, str) and _is_picture(value):
        return base64.b64encode(named_file(value)[1]).decode()
    return value


def _is_path(text: str) -> bool:
    path = Path(text)
    return bool(path.suffix) or path.exists()


def _is_picture(value: object) -> bool:
    """Whether this is one picture, and not several."""
    is_file = isinstance(value, str | bytes | bytearray | PathLike)
    return is_file or _is_image(value) or _is_array(value) or isinstance(getattr(value, "data", None), bytes)


def _is_image(value: object) -> bool:
    return callable(getattr(value, "save", None)) and hasattr(value, "mode")


def _is_array(value: object) -> bool:
    return hasattr(value, "__array_interface__") and hasattr(value, "shape")


def _png(picture: Any) -> bytes:
    image = _image_of(picture) if _is_array(picture) else picture
    if not _is_image(image):
        raise NotReadableError(
            f"a picture is a path, bytes, an image or an array, not {type(picture).__name__}"
        )
    buffer = io.BytesIO()
    try:
        image.save(buffer, "PNG")
    except OSError as error:
        raise NotReadableError(f"the picture cannot be written as PNG: {error}") from error
    return buffer.getvalue()


def _image_of(array: Any) -> Any:
    """Pillow's picture of an array."""
    image = pillow("an array as a picture")
    if getattr(array.dtype, "kind", "") == "f":
        array = (array.clip(0, 1) * 255 + 0.5).astype("uint8")
    try:
        return image.fromarray(array)
    except (TypeError, ValueError) as error:
        raise NotReadableError(
            f"an array of shape {tuple(array.shape)}, {array.dtype}, is no picture"
        ) from error


def pillow(purpose: str) -> Any:
    """The module ``PIL.Image``.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError(f"{purpose} needs Pillow: pip install pillow") from error
    return cast("Any", Image)
