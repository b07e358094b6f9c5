"""The headers of PNG, JPEG and WebP files, read without decoding pixels.

The limits bound the time and memory that a file costs besides its pixels. Ordinary programs write no file beyond them.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from jobs.pictures.parts import SOS, Form, jpeg_segments, open_parts, png_chunks, webp_chunks

MAX_SCANS = 50  # libjpeg writes a progressive file in at most 18, and each is a pass over all pixels
MAX_BESIDE_BYTES = 16 << 20  # of profiles, texts and thumbnails

_RGB = 2
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Header:
    """Format, size and sample depth of a picture, before decoding."""

    form: Form
    width: int
    height: int
    bits: int = 8  # of one sample; only PNG has others
    colour: int | None = None  # PNG's type of colour

    @property
    def is_plain(self) -> bool:
        """Whether it is a PNG of opaque pixels of three bytes."""
        return self.colour == _RGB and self.bits == 8


def read_header(file: BinaryIO) -> Header:
    """The header of a picture; leaves the file at any place.

    Raises:
        ValueError: why this is no picture that is read, in words that follow its name.
    """
    match open_parts(file):
        case "PNG":
            return _png(file)
        case "JPEG":
            return _jpeg(file)
        case "WEBP":
            return _webp(file)


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if the data are damaged or lack it."""
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for entry in range(start + 2, start + 2 + 12 * min(count, 500), 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", data, entry)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _png(file: BinaryIO) -> Header:
    found: Header | None = None
    beside = 0
    for kind, length in png_chunks(file):
        if found is None:
            if kind != b"IHDR" or len(fields := file.read(10)) < 10:
                raise ValueError("is a damaged PNG file")
            found = Header("PNG", *struct.unpack(">LLBB", fields))
        elif kind == b"IEND":
            break
        elif kind != b"IDAT":
            beside = _added(beside, length)
    return _whole(found, "PNG")


def _webp(file: BinaryIO) -> Header:
    found: Header | None = None
    for kind, _ in webp_chunks(file):
        body = file.read(10)
        if found is None and len(body) == 10:
            found = Header("WEBP", *_canvas(kind, body))
    return _whole(found, "WebP")


def _canvas(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("is a damaged WebP file")


def _jpeg(file: BinaryIO) -> Header:
    found: Header | None = None
    scans = beside = 0
    for marker, length in jpeg_segments(file):
        if marker == SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise ValueError(
                    f"is a JPEG file of more than {MAX_SCANS} scans, which are the most that are read"
                )
        elif marker in _SOF and found is None:
            fields = file.read(5)
            if len(fields) < 5:
                break
            height, width = struct.unpack(">HH", fields[1:])
            found = Header("JPEG", width, height)
        else:
            beside = _added(beside, length)
    return _whole(found, "JPEG")


def _added(beside: int, length: int) -> int:
    if beside + length > MAX_BESIDE_BYTES:
        raise ValueError(
            f"holds more than {MAX_BESIDE_BYTES >> 20} MiB beside its pixels, the most that is read"
        )
    return beside + length


def _whole(found: Header | None, form: str) -> Header:
    if found is None or not found.width or not found.height:
        raise ValueError(f"is a damaged {form} file")
    return found
