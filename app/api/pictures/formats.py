"""The picture formats: negotiation, and conversion of a stored PNG."""

import io
from enum import StrEnum

from PIL import Image

from jobs.pictures.mark import packet_in


class Format(StrEnum):
    """A picture format, in the order of preference between equals: PNG first, as it is stored."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"

    @property
    def media_type(self) -> str:
        """Its MIME type."""
        return f"image/{self}"


SUFFIXES = {"png": Format.PNG, "webp": Format.WEBP, "jpeg": Format.JPEG, "jpg": Format.JPEG}


def address_end(wanted: Format, quality: int | None = None) -> str:
    """The end of a picture's address that asks for a format: ``.webp?quality=80``."""
    return f".{wanted}" + ("" if quality is None else f"?quality={quality}")


def format_and_quality(end: str) -> tuple[Format, int | None]:
    """What ``address_end`` was made of; PNG for an empty text."""
    suffix, _, quality = end.partition("?quality=")
    return SUFFIXES.get(suffix.removeprefix("."), Format.PNG), int(quality) if quality else None


def negotiate(accept: str | None) -> Format:
    """The best format by an Accept header; PNG when it names none of ours, or there is no header."""
    ranges = media_ranges(accept)

    def quality(candidate: Format) -> float:
        return next(
            (ranges[name] for name in (candidate.media_type, "image/*", "*/*") if name in ranges), 0.0
        )

    return max(Format, key=quality)


def media_ranges(accept: str | None) -> dict[str, float]:
    """The media ranges of an Accept header, each with its quality; any type if there is none."""
    return dict(_media_range(part) for part in (accept or "*/*").split(","))


def prefers(accept: str | None, media_type: str, *others: str) -> bool:
    """Whether an Accept header names ``media_type`` itself, and none of ``others`` as better. ``*/*`` names nothing."""
    ranges = media_ranges(accept)
    return 0 < ranges.get(media_type, 0) >= max((ranges.get(other, 0) for other in others), default=0)


def encode(png: bytes, wanted: Format, quality: int | None = None) -> bytes:
    """A stored PNG in the wanted format, with its mark; PNG itself is returned as it is stored, with its text chunks.

    ``quality`` of WebP and JPEG is from 0 to 100; the default shows no visible difference.
    """
    if wanted is Format.PNG:
        return png
    out, packet = io.BytesIO(), packet_in(png) or b""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        if wanted is Format.WEBP:
            picture.save(out, "WEBP", quality=90 if quality is None else quality, xmp=packet)
        else:
            chosen = 92 if quality is None else quality
            flat = picture.convert("RGB")
            # Not optimized: Pillow's buffer for such files is too small for noise, which then fails.
            flat.save(out, "JPEG", quality=chosen, subsampling=0, xmp=packet)
    return out.getvalue()


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece.removeprefix("q=") for piece in parameters if piece.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
