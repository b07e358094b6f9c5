"""Files that callers bring as pictures: one picture in many encodings, and what is no picture that is read."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

SIDE = 48


def scene(width: int = SIDE, height: int = SIDE) -> Image.Image:
    """Smooth, so that no encoding loses much of it, and different in every corner, so that a wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    levels = np.stack([40 + 170 * x, 200 - 150 * y, 60 + 140 * x * y], axis=-1)
    return Image.fromarray(levels.round().astype(np.uint8))


def greys() -> Image.Image:
    """The same without colour."""
    return scene().convert("L")


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """A file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


_UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def lying(orientation: int, form: str = "JPEG", image: Image.Image | None = None) -> bytes:
    """The scene as a camera stores it, and EXIF data that say how to turn it."""
    image = scene() if image is None else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(_UNDONE[orientation]) if orientation in _UNDONE else image
    options = (
        {"quality": 95, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    )
    return encoded(stored, form, exif=exif, **options)


def _see_through() -> Image.Image:
    """Black, and visible only where the scene is dark: on white it looks like a negative's positive, like its greys."""
    alpha = greys().point([255 - level for level in range(256)])
    image = Image.new("RGBA", alpha.size, "black")
    image.putalpha(alpha)
    return image


def _hidden() -> Image.Image:
    """Red beneath, but wholly transparent: white to the eye."""
    return Image.new("RGBA", (SIDE, SIDE), (255, 0, 0, 0))


def _palette_with_transparency() -> bytes:
    image = _hidden().convert("RGB").quantize(4)
    return encoded(image, transparency=bytes([0] * 4))


def _palette() -> Image.Image:
    image = Image.new("P", (SIDE, SIDE), 1)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


def _sixteen_bits() -> bytes:
    levels = np.asarray(greys()).astype(np.uint16) * 257
    return encoded(Image.fromarray(levels))


def _swapped_profile() -> bytes:
    """A profile by which red and blue change places, made of sRGB's."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")


def _swapped() -> bytes:
    red, green, blue = scene().split()
    return encoded(Image.merge("RGB", (blue, green, red)), icc_profile=_swapped_profile())


def same_scene() -> dict[str, bytes]:
    """The scene in many encodings."""
    other = Image.new("RGB", (SIDE, SIDE), "black")
    opaque = scene().convert("RGBA")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey_profile = srgb.replace(b"RGB ", b"GRAY")
    return {
        "plain": encoded(scene()),
        **{f"exif{turn}.jpg": lying(turn) for turn in range(1, 9)},
        "exif6.png": lying(6, "PNG"),
        "exif8.webp": lying(8, "WEBP"),
        "exif of nonsense": lying(99),
        "rgba": encoded(opaque),
        "baseline": encoded(scene(), "JPEG", quality=95, subsampling=0),
        "progressive": encoded(scene(), "JPEG", quality=95, subsampling=0, progressive=True),
        "lossy webp": encoded(scene(), "WEBP", quality=95),
        "animated png": encoded(scene(), save_all=True, append_images=[other, other]),
        "animated webp": encoded(scene(), "WEBP", lossless=True, save_all=True, append_images=[other, other]),
        "sRGB profile": encoded(scene(), icc_profile=srgb),
        "swapped profile": _swapped(),
        "damaged profile": encoded(scene(), icc_profile=b"not a profile at all" * 20),
        "profile of another colour space": encoded(scene(), icc_profile=grey_profile),
        "palette": encoded(scene().quantize(256)),
        "16 bits a channel": png(SIDE, SIDE, 2, 16, _rows(np.asarray(scene()).astype(">u2") * 257)),
    }


def same_greys() -> dict[str, bytes]:
    """The same without colour, in many encodings."""
    alpha = greys().convert("LA")
    return {
        "grey": encoded(greys()),
        "grey jpeg": encoded(greys(), "JPEG", quality=95),
        "16 bits": _sixteen_bits(),
        "grey and alpha": encoded(alpha),
        "grey alpha of 16 bits": png(SIDE, SIDE, 4, 16, _rows(np.asarray(alpha).astype(">u2") * 257)),
        "black behind alpha": encoded(_see_through()),
        "cmyk": encoded(
            Image.merge("CMYK", [*[Image.new("L", (SIDE, SIDE))] * 3, _inverted()]), "JPEG", quality=95
        ),
    }


def same_white() -> dict[str, bytes]:
    """White on sight, whatever lies beneath."""
    hidden = _hidden()
    grey = Image.new("L", (SIDE, SIDE), 7)
    sixteen = np.full((SIDE, SIDE, 1), 7777, ">u2")
    colours = np.full((SIDE, SIDE, 3), 7777, ">u2")
    return {
        "white": encoded(Image.new("RGB", (SIDE, SIDE), "white")),
        "rgba": encoded(hidden),
        "webp": encoded(hidden, "WEBP", lossless=True, exact=True),
        "grey alpha": encoded(hidden.convert("LA")),
        "palette": _palette_with_transparency(),
        "palette with one clear colour": encoded(_palette(), transparency=1),
        "grey with a clear level": encoded(grey, transparency=7),
        "16 bits with a clear level": png(SIDE, SIDE, 0, 16, _rows(sixteen), trns=struct.pack(">H", 7777)),
        "2 bits with a clear level": png(
            SIDE, SIDE, 0, 2, (b"\0" + b"\x55" * (SIDE // 4)) * SIDE, trns=b"\0\1"
        ),
        "1 bit with a clear level": png(SIDE, SIDE, 0, 1, (b"\0" + b"\0" * (SIDE // 8)) * SIDE, trns=b"\0\0"),
        "colours with a clear one": encoded(
            Image.new("RGB", (SIDE, SIDE), (1, 2, 3)), transparency=(1, 2, 3)
        ),
        "16 bits with a clear colour": png(
            SIDE, SIDE, 2, 16, _rows(colours), trns=struct.pack(">HHH", 7777, 7777, 7777)
        ),
    }


def _inverted() -> Image.Image:
    return greys().point([255 - level for level in range(256)])


def _rows(levels: "np.ndarray[Any, Any]") -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in levels)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, colour: int, bits: int, rows: bytes, *, trns: bytes = b"") -> bytes:
    """A PNG of these rows, each with its filter before it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    clear = chunk(b"tRNS", trns) if trns else b""
    return b"\x89PNG\r\n\x1a\n" + header + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_scans(extra: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan, which says nothing, comes so many times more."""
    base = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=30)
    scan = base[base.rfind(b"\xff\xda") : -2]
    return base[:-2] + scan * extra + b"\xff\xd9"


def hidden_scans(extra: int) -> bytes:
    """The same, the scans behind a marker without a meaning that claims to have them as its content."""
    base = encoded(Image.new("L", (64, 64), 128), "JPEG", progressive=True, quality=30)
    scan = base[base.rfind(b"\xff\xda") : -2]
    return base[:-2] + b"\xff\x02" + struct.pack(">H", 60_000) + scan * extra + b"\xff\xd9"


def refused() -> dict[str, bytes]:
    """Files that are no readable picture, by their fault."""
    plain, jpeg = encoded(scene()), encoded(scene(), "JPEG")
    webp = encoded(scene(), "WEBP")
    few = zlib.compress(b"\0" * 1000)
    text = zlib.compress(b"a" * (20 << 20), 9)
    crc = bytearray(plain)
    crc[-20] ^= 255
    make: dict[str, Callable[[], bytes]] = {
        "nothing": lambda: b"",
        "text": lambda: b"hello",
        "html": lambda: b"<script>alert(1)</script>",
        "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "gif": lambda: encoded(scene(), "GIF"),
        "bmp": lambda: encoded(scene(), "BMP"),
        "tiff": lambda: encoded(scene(), "TIFF"),
        "a png's first bytes": lambda: plain[:8],
        "a png without pixels": lambda: plain[:40],
        "half a png": lambda: plain[: len(plain) // 2],
        "half a jpeg": lambda: jpeg[: len(jpeg) // 2],
        "a jpeg's first bytes": lambda: jpeg[:20],
        "half a webp": lambda: webp[: len(webp) // 2],
        "a broken checksum": lambda: bytes(crc),
        "30000 x 30000": lambda: png(30_000, 30_000, 2, 8, few),
        "2 ** 31": lambda: png(2**31 - 1, 2**31 - 1, 2, 8, few),
        "0 x 0": lambda: png(0, 0, 2, 8, few),
        "5000 x 5000": lambda: encoded(Image.new("1", (5000, 5000))),
        "20000 x 1": lambda: encoded(Image.new("L", (20_000, 1))),
        "many scans": lambda: with_scans(200),
        "many scans in disguise": lambda: hidden_scans(1000),
        "many segments": lambda: jpeg[:2] + b"\xff\xfe\0\2" * 60_000 + jpeg[2:],
        "many chunks": lambda: plain[:33] + chunk(b"tEXt", b"a\0b") * 60_000 + plain[33:],
        "a long text": lambda: plain[:33] + chunk(b"zTXt", b"a\0\0" + text) + plain[33:],
        "a long profile": lambda: plain[:33] + chunk(b"iCCP", b"a\0\0" + text) + plain[33:],
        "a canvas beyond its picture": lambda: _with_canvas(webp, 16_000, 16_000),
    }
    return {name: made() for name, made in make.items()}


def _with_canvas(webp: bytes, width: int, height: int) -> bytes:
    """The header of an extended WebP file, which promises more than there is."""
    fields = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", len(fields)) + fields + webp[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body
