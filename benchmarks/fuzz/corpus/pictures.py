"""Pictures that are too large, damaged, lying, costly to unpack, or unusual and right."""

import io
import struct
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any

from PIL import Image

from benchmarks.fuzz.corpus.damage import cut, mutants
from benchmarks.fuzz.corpus.png import GREY, PALETTE, RGB, RGBA, black, chunk, header, png, zeros
from benchmarks.fuzz.corpus.sample import Sample

BOMB_BYTES = 256 << 20
_SMALL = zlib.compress(bytes(8 * 25))  # the pixels of 8 x 8 RGB
_RGB8 = header(8, 8, RGB, 8)


def pictures(chance: Random) -> Iterator[Sample]:
    """All of them; the same for the same seed."""
    whole = list(_usual(chance))
    yield from whole
    yield from _too_large()
    yield from _bombs()
    yield from _many_scans()
    yield from _many_frames()
    yield from _lying()
    yield from _other_formats()
    yield from _polyglots(chance)
    for each in whole:
        yield cut(each, 0.1)
        yield cut(each, chance.uniform(0.3, 0.9))
        yield from mutants(each, chance, 3)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _noise(chance: Random, mode: str = "RGB", side_px: int = 48) -> Image.Image:
    size = side_px * side_px * len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (side_px, side_px), chance.randbytes(size))


def _usual(chance: Random) -> Iterator[Sample]:
    rgb = _noise(chance)
    rotated = Image.Exif()
    rotated[0x112] = 6
    yield Sample("rgb.png", _saved(rgb, "PNG"), True)
    yield Sample("rgba.png", _saved(_noise(chance, "RGBA"), "PNG"), True)
    yield Sample("la.png", _saved(_noise(chance, "LA"), "PNG"), True)
    yield Sample("palette.png", _saved(rgb.quantize(16), "PNG", transparency=0), True)
    yield Sample("one-bit.png", _saved(rgb.convert("1"), "PNG"), True)
    yield Sample("grey16.png", _saved(rgb.convert("L").convert("I;16"), "PNG"), True)
    yield Sample("rgb.jpg", _saved(rgb, "JPEG"), True)
    yield Sample("progressive.jpg", _saved(rgb, "JPEG", progressive=True), True)
    yield Sample("rotated.jpg", _saved(rgb, "JPEG", exif=rotated), True)
    yield Sample("cmyk.jpg", _saved(rgb.convert("CMYK"), "JPEG"), True)
    yield Sample("rgb.webp", _saved(rgb, "WEBP"), True)
    yield Sample("lossless.webp", _saved(rgb, "WEBP", lossless=True), True)


def _too_large() -> Iterator[Sample]:
    """Headers that announce more than can be had, and the largest that is served."""
    little = zlib.compress(bytes(1000))
    yield Sample("50000.png", png(header(50_000, 50_000, RGB, 8), little), False)
    yield Sample("2-to-the-31.png", png(header(2**31 - 1, 2**31 - 1, RGB, 8), little), False)
    yield Sample("tall.png", png(header(1, 2**31 - 1, GREY, 8), little), False)
    yield Sample("wide.png", black(20_000, 1, GREY, 8), False)
    yield Sample("5000.png", black(5000, 5000, GREY, 1), False)
    yield Sample("4000-rgba.png", black(4000, 4000, RGBA, 8))
    yield Sample("4000-rgba16.png", black(4000, 4000, RGBA, 16))
    yield Sample("4000-interlaced.png", png(header(4000, 4000, RGB, 8, interlaced=True), zeros(48_020_000)))
    yield Sample("4000.webp", _saved(Image.new("RGB", (4000, 4000)), "WEBP", lossless=True, method=0))
    yield Sample("65535.jpg", _resized_jpeg(65_535, 65_535), False)


def _resized_jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame header announces another size."""
    data = bytearray(_saved(Image.new("L", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _bombs() -> Iterator[Sample]:
    """Small files that hold a lot beside their pixels."""
    bomb, text = zeros(BOMB_BYTES), zlib.compress(b"a" * 900_000, 9)
    yield Sample("idat.png", png(_RGB8, bomb))
    yield Sample("ztxt.png", png(_RGB8, _SMALL, chunk(b"zTXt", b"k\0\0" + bomb)))
    yield Sample("itxt.png", png(_RGB8, _SMALL, chunk(b"iTXt", b"k\0\1\0\0\0" + bomb)))
    yield Sample("iccp.png", png(_RGB8, _SMALL, chunk(b"iCCP", b"k\0\0" + bomb)))
    texts = [chunk(b"zTXt", b"k%d\0\0" % index + text) for index in range(200)]
    yield Sample("ztxt-200.png", png(_RGB8, _SMALL, *texts))
    yield Sample("text-1m.png", png(_RGB8, _SMALL, chunk(b"tEXt", b"k\0" + b"a" * 1_000_000)))
    yield Sample("empty-chunks.png", png(_RGB8, _SMALL, chunk(b"IDAT", b"") * 50_000))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff\xff" + bytes(60_000)
    segments = (b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif) * 20
    plain = _saved(Image.new("RGB", (16, 16)), "JPEG")
    yield Sample("exif-20.jpg", plain[:2] + segments + plain[2:])


def _many_scans() -> Iterator[Sample]:
    """Progressive JPEGs of 16 megapixels whose last scan comes again and again: each costs a pass over all pixels."""
    base = _saved(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True, quality=30)
    last = base.rindex(b"\xff\xda")
    for scans in (60, 600, 1500):
        yield Sample(f"scans-{scans}.jpg", base[:last] + base[last:-2] * scans + b"\xff\xd9")


def _many_frames() -> Iterator[Sample]:
    frames = [Image.new("RGB", (64, 64), (index % 256, 0, 0)) for index in range(300)]
    for kind, name in (("PNG", "frames.png"), ("WEBP", "frames.webp")):
        yield Sample(name, _saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    yield Sample("frames.gif", _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), False)


def _lying() -> Iterator[Sample]:
    """Headers that contradict what follows."""
    right = png(_RGB8, _SMALL)
    jpeg = _saved(Image.new("RGB", (16, 16)), "JPEG")
    webp = _saved(Image.new("RGB", (16, 16)), "WEBP")
    yield Sample("header-crc.png", right[:29] + b"\0\0\0\0" + right[33:], False)
    yield Sample("pixels-crc.png", right[:-16] + b"\0\0\0\0" + right[-12:])
    yield Sample("zero-size.png", png(header(0, 0, RGB, 8), _SMALL), False)
    yield Sample("three-bits.png", png(header(8, 8, RGB, 3), _SMALL), False)
    yield Sample("kind-9.png", png(header(8, 8, 9, 8), _SMALL), False)
    yield Sample("no-palette.png", png(header(8, 8, PALETTE, 8), _SMALL))
    yield Sample("no-header.png", png(b"", _SMALL), False)
    yield Sample("no-pixels.png", b"\x89PNG\r\n\x1a\n" + _RGB8 + chunk(b"IEND", b""), False)
    yield Sample("long-chunk.png", right[:8] + b"\x7f\xff\xff\xff" + right[12:], False)
    yield Sample("png-then-jpeg.png", right[:8] + jpeg, False)
    yield Sample("jpeg-then-nothing.jpg", b"\xff\xd8\xff" + bytes(5000), False)
    yield Sample("no-height.jpg", _resized_jpeg(16, 0), False)
    yield Sample("riff.webp", b"RIFF" + bytes(5000), False)
    yield Sample("long-riff.webp", b"RIFF\xff\xff\xff\x7f" + webp[8:])
    yield Sample("jpeg-named.png", jpeg, True)  # the name says nothing


def _other_formats() -> Iterator[Sample]:
    image = Image.new("RGB", (16, 16), "red")
    for kind in ("TIFF", "BMP", "GIF", "PPM", "ICO", "TGA"):
        yield Sample(f"picture.{kind.lower()}", _saved(image, kind), False)
    yield Sample(
        "script.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', False
    )
    yield Sample("page.png", b"<script>alert(1)</script>", False)
    yield Sample("postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n", False)
    yield Sample("empty.png", b"", False)
    yield Sample("byte.png", b"\x89", False)


def _polyglots(chance: Random) -> Iterator[Sample]:
    """Pictures that are something else too."""
    whole, jpeg = png(_RGB8, _SMALL), _saved(Image.new("RGB", (16, 16)), "JPEG")
    comment = b"<script>alert(1)</script>"
    yield Sample("zip.png", whole + b"PK\x03\x04" + chance.randbytes(2000) + b"PK\x05\x06" + bytes(18), True)
    yield Sample(
        "html.jpg", jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:], True
    )
    yield Sample("gif-then-png.png", b"GIF89a" + whole, False)
    yield Sample("pdf-then-jpeg.jpg", b"%PDF-1.4\n" + jpeg, False)
