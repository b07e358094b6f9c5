"""The parts of PNG, JPEG and WebP files: chunks and segments, found without decoding pixels.

The limits bound the time and memory that a file costs besides its pixels. Ordinary programs write no file beyond them.
"""

import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, Literal, TypeVar, get_args

MAX_PARTS = 50_000  # chunks of a PNG or WebP, segments of a JPEG

Form = Literal["PNG", "JPEG", "WEBP"]
FORMS: tuple[Form, ...] = get_args(Form)
Part = TypeVar("Part")

PNG_START = b"\x89PNG\r\n\x1a\n"
SOI, EOI, SOS, FIRST_WITH_LENGTH = 0xD8, 0xD9, 0xDA, 0xC0
_HEAD_BYTES = 12
_BLOCK_BYTES = 16_384
_MARKER = re.compile(
    rb"\xff[^\x00\xff\xd0-\xd7]"
)  # neither a stuffed byte nor a restart, which belong to a scan


def open_parts(file: BinaryIO) -> Form:
    """The form of a file, which is left where its first part begins.

    Raises:
        ValueError: it is of another form, in words that follow its name.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(PNG_START):
        file.seek(len(PNG_START))
        return "PNG"
    if head.startswith(b"\xff\xd8"):
        file.seek(0)
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "WEBP"
    raise ValueError("is no PNG, JPEG or WebP file")


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk of a PNG, the file being where its content begins."""
    return counted(_chunks(file, ">L4s", padding=1, after=4))


def webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The same of a WebP."""
    return counted(_chunks(file, "<4sL", padding=2, after=0))


def jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Marker and length of each segment up to the end of the picture, the file being where its content begins.

    This finds every scan that libjpeg would find. libjpeg looks for markers within scans too, and skips unknown ones
    as if they had no length.
    """
    return counted(_segments(file))


def _chunks(file: BinaryIO, layout: str, *, padding: int, after: int) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk, the file being where its content begins."""
    while len(head := file.read(8)) == 8:
        first, second = struct.unpack(layout, head)
        kind, length = (second, first) if isinstance(first, int) else (first, second)
        start = file.tell()
        yield kind, length
        file.seek(start + -(-length // padding) * padding + after)


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    while True:
        marker = _next_marker(file)
        if marker is None or marker == EOI:
            return
        if marker == SOI or marker < FIRST_WITH_LENGTH:
            yield marker, 0
            continue
        start = file.tell()
        length = int.from_bytes(file.read(2), "big")
        yield marker, max(length - 2, 0)
        file.seek(start + max(length, 2))


def _next_marker(file: BinaryIO) -> int | None:
    while block := file.read(_BLOCK_BYTES):
        if found := _MARKER.search(block):
            file.seek(found.end() - len(block), os.SEEK_CUR)
            return block[found.end() - 1]
        if block.endswith(b"\xff") and len(block) > 1:
            file.seek(-1, os.SEEK_CUR)  # the other half of a marker may follow
    return None


def counted(parts: Iterator[Part]) -> Iterator[Part]:
    """The same parts, but no more than are read.

    Raises:
        ValueError: there are more.
    """
    for number, part in enumerate(parts):
        if number >= MAX_PARTS:
            raise ValueError(f"is made of more than {MAX_PARTS} parts, which are the most that are read")
        yield part
