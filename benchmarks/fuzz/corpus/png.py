"""PNG files put together by hand, so that any part of them can lie."""

import struct
import zlib

MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, RGBA: 4}
_BLOCK = bytes(1 << 20)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, kind: int, bits: int, *, interlaced: bool = False) -> bytes:
    """The first chunk, which says what follows."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))


def png(first: bytes, pixels: bytes, *between: bytes) -> bytes:
    """A file of a header, chunks between, compressed pixels and an end."""
    return b"".join((MAGIC, first, *between, chunk(b"IDAT", pixels), chunk(b"IEND", b"")))


def black(width: int, height: int, kind: int, bits: int) -> bytes:
    """A whole picture of zeros: the smallest file for its size in pixels."""
    row_bytes = 1 + (width * bits * _CHANNELS[kind] + 7) // 8
    return png(header(width, height, kind, bits), zeros(row_bytes * height))


def zeros(size_bytes: int) -> bytes:
    """That many zeros, compressed about a thousand times."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(_BLOCK) for _ in range(size_bytes // len(_BLOCK))]
    return b"".join((*parts, packer.compress(bytes(size_bytes % len(_BLOCK))), packer.flush()))
