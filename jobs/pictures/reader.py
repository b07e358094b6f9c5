"""The one reader of pictures that callers bring: bounded, upright, sRGB, of 8 bits, opaque if no alpha is asked for."""

import io
import threading
from collections.abc import Callable
from contextlib import nullcontext
from enum import Enum, auto
from functools import cache
from hashlib import sha256
from typing import BinaryIO

from PIL import Image, ImageCms
from PIL.Image import Resampling, Transpose
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from jobs.errors import InvalidFileError
from jobs.pictures.flattening import alpha_of, flat
from jobs.pictures.headers import Header, orientation, read_header
from jobs.pictures.parts import Form

MAX_PIXELS = 16_000_000
MAX_SIDE_PX = 16_384
KEPT_PIXELS = 512 * 512  # more than any CLIP sees

_STRIP_PIXELS = 1 << 18  # converted at a time: a few MB beside what the decoder holds
_FINE = 2  # times as large as what is wanted: what boxes are averaged to before the last, finer resize
_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # names of the colour spaces in ICC profiles
_TURNED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# libwebp holds a picture's pixels four times: no two of its pictures are unpacked at a time.
_webp_lock = threading.Lock()


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Pillow would parse all EXIF data for the resolution, which is not needed here."""


_OPENERS: dict[Form, Callable[[BinaryIO], ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": _Jpeg,
    "WEBP": WebPImageFile,
}


class Kept(Enum):
    """How much of a picture is kept."""

    THUMBNAIL = auto()
    """At most ``KEPT_PIXELS`` pixels, on white where it is transparent."""
    WHOLE = auto()
    """Every pixel, on white where it is transparent."""
    WITH_ALPHA = auto()
    """Every pixel, and its opacity unless all are opaque."""

    def keeps(self, header: Header) -> bool:
        """Whether a stored picture with this header, of whatever kind, is kept as it is."""
        size = header.width, header.height
        return self.size_of(*size) == size and (self is Kept.WITH_ALPHA or header.is_plain)

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """The size at which a picture of this size is kept."""
        scale = (KEPT_PIXELS / (width * height)) ** 0.5
        if scale >= 1 or self is not Kept.THUMBNAIL:
            return width, height
        return max(1, int(width * scale)), max(1, int(height * scale))


def read_picture(
    source: bytes | BinaryIO,
    name: str,
    *,
    field: str | None = None,
    most_pixels: int = MAX_PIXELS,
    kept: Kept = Kept.THUMBNAIL,
) -> Image.Image:
    """A PNG, JPEG or WebP file as an RGB or RGBA picture, its first frame if it has several.

    It is shrunk first, keeping its shape, and never enlarged; then put on white where it is transparent, brought from
    its colour profile to sRGB, and turned as its EXIF data say. One at the limits takes up to 0.7 s and 75 MB as a
    thumbnail, and 140 MB kept whole; a progressive JPEG up to 130 MB, a WebP up to 250 MB. Kept whole, its PNG file
    takes 2 to 4 s more.

    Args:
        source: the file.
        name: of the file, for the error.
        field: of the request, for the error.
        most_pixels: that it may have.
        kept: how much of it.

    Raises:
        InvalidFileError: it is of another format, too large or damaged.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    header = check_header(file, name, field=field, most_pixels=most_pixels)
    try:
        with _webp_lock if header.form == "WEBP" else nullcontext():
            return _read(file, header, kept)
    except Exception as error:  # each of Pillow's plugins raises its own kinds for a damaged file
        raise InvalidFileError(f"{name} is a damaged {header.form} file", field=field) from error


def check_header(
    file: BinaryIO, name: str, *, field: str | None = None, most_pixels: int = MAX_PIXELS
) -> Header:
    """Read a picture's header, without decoding pixels.

    Raises:
        InvalidFileError: it is of another format, or larger than it may be.
    """
    try:
        header = read_header(file)
    except ValueError as error:
        raise InvalidFileError(f"{name} {error}", field=field) from error
    width, height = header.width, header.height
    if width * height > most_pixels or max(width, height) > MAX_SIDE_PX:
        raise InvalidFileError(
            f"{name} is too large: {width} x {height} pixels, and at most {most_pixels // 10**6} megapixels and "
            f"{MAX_SIDE_PX} on a side are read",
            field=field,
        )
    return header


def to_png(picture: Image.Image) -> bytes:
    """The picture as a file with nothing but pixels in it; the same pixels give the same bytes on one machine."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


def digest_of(png: bytes) -> str:
    """SHA-256 of a stored picture, its name in requests."""
    return sha256(png).hexdigest()


def _read(file: BinaryIO, header: Header, kept: Kept) -> Image.Image:
    file.seek(0)
    with _OPENERS[header.form](file) as image:
        if image.size != (header.width, header.height):
            raise ValueError("its header contradicts itself")
        image.draft(None, kept.size_of(*image.size))  # a JPEG is unpacked to a half, a quarter or an eighth
        image.load()
        size = kept.size_of(header.width, header.height)
        alpha = alpha_of(image, header.bits) if kept is Kept.WITH_ALPHA else None
        colours = _shrunk(image, size, header.bits, on_white=alpha is None)
        levels = _in_srgb(colours, image.info.get("icc_profile"))
        turn = orientation(image.info.get("exif") or b"")
    if alpha is not None:
        levels.putalpha(alpha)
    upright = levels.transpose(_TURNED[turn]) if turn in _TURNED else levels
    upright.info.clear()  # profiles, EXIF data and texts, which a file that is made of it would carry on
    return upright


def _shrunk(image: Image.Image, size: tuple[int, int], bits: int, *, on_white: bool) -> Image.Image:
    """Shrink strip by strip, without a second copy of all pixels. It averages flat colours: no palette, no alpha."""
    width, height = image.size
    factor = max(1, min(width // (_FINE * size[0]), height // (_FINE * size[1])))
    rows = factor * max(1, _STRIP_PIXELS // (factor * width))
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    strips = (flat(image.crop(box), bits, on_white=on_white).reduce(factor) for box in boxes)
    first = next(strips)
    whole = Image.new(first.mode, (first.width, -(-height // factor)))
    whole.paste(first)
    for box, strip in zip(boxes[1:], strips, strict=True):
        whole.paste(strip, (0, box[1] // factor))
    return whole if whole.size == size else whole.resize(size, Resampling.BICUBIC)


def _in_srgb(flat: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB; by the profile, unless it is damaged or of another colour space than the pixels, as some are."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == _COLOURS[flat.mode]:
                made = ImageCms.profileToProfile(flat, source, _srgb(), outputMode="RGB")
                return flat if made is None else made  # None only where it is done in place
        except Exception:  # a picture without a profile is still one
            return _rgb(flat)
    return _rgb(flat)


def _rgb(flat: Image.Image) -> Image.Image:
    return flat if flat.mode == "RGB" else flat.convert("RGB")  # which copies even what is RGB


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
