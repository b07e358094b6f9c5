"""From the many modes of picture files to flat colours of 8 bits, and to the opacity beside them."""

from functools import cache
from typing import Any

from PIL import Image


def flat(strip: Image.Image, bits: int, *, on_white: bool = True) -> Image.Image:
    """A part of a picture, opaque, of 8 bits, and of one of the modes L, RGB and CMYK.

    Args:
        strip: as Pillow unpacks it; it may lose its ``transparency``.
        bits: of one sample in the file.
        on_white: whether white shows through what is transparent, else the colour that it hides.
    """
    clear = strip.info.pop("transparency", None)
    if not on_white:
        clear = None
    match strip.mode:
        case "CMYK":
            return strip
        case "1" | "L" | "I" | "I;16" | "I;16L" | "I;16B":
            return _grey(strip, bits, clear)
        case "LA":
            return _on_white(strip, "L") if on_white else strip.convert("L")
        case _ if not on_white:
            return strip.convert("RGB")
        case "RGB" | "P" if clear is None:
            return strip.convert("RGB")
        case "RGB":
            clear = _of_eight_bits(clear, bits)
    if clear is not None:
        strip.info["transparency"] = clear
    return _on_white(strip.convert("RGBA"), "RGB")


def _grey(strip: Image.Image, bits: int, clear: int | None) -> Image.Image:
    if strip.mode.startswith("I"):
        table = list(_eight_of_sixteen())
        if clear is not None:
            table[clear & 0xFFFF] = 255
        return strip.convert("I").point(table, "L")
    if clear is None:
        return strip.convert("L")
    level = _unpacked(clear, strip.mode, bits)
    return strip.convert("L").point([255 if each == level else each for each in range(256)])


def alpha_of(image: Image.Image, bits: int) -> Image.Image | None:
    """The opacity of a picture's pixels, of 8 bits (mode L); None if all are opaque.

    Args:
        image: as Pillow unpacks it.
        bits: of one sample in the file.
    """
    alpha = _alpha(image, image.info.get("transparency"), bits)
    return None if alpha is None or alpha.getextrema() == (255, 255) else alpha


def _alpha(image: Image.Image, clear: Any, bits: int) -> Image.Image | None:
    if "A" in image.getbands():
        return image.getchannel("A")
    if clear is None:
        return None
    if image.mode.startswith("I"):
        return image.convert("I").point([255 * (level != clear) for level in range(1 << 16)], "L")
    if image.mode in ("1", "L"):
        level = _unpacked(clear, image.mode, bits)
        return image.convert("L").point([255 * (each != level) for each in range(256)])
    keyed = image.copy()
    keyed.info["transparency"] = _of_eight_bits(clear, bits) if image.mode == "RGB" else clear
    return keyed.convert("RGBA").getchannel("A")


def _unpacked(level: int, mode: str, bits: int) -> int:
    """A level of the file's bits as Pillow unpacks it."""
    return level if mode == "1" else level * 255 // (2 ** min(bits, 8) - 1)


def _of_eight_bits(colour: tuple[int, ...], bits: int) -> tuple[int, ...]:
    """A colour of the file's bits as Pillow unpacks it: of sixteen it keeps the upper eight."""
    return tuple(level >> max(0, bits - 8) for level in colour)


@cache
def _eight_of_sixteen() -> tuple[int, ...]:
    return tuple(round(level / 257) for level in range(1 << 16))


def _on_white(strip: Image.Image, mode: str) -> Image.Image:
    white = Image.new(mode, strip.size, "white")
    white.paste(strip.convert(mode), mask=strip.getchannel("A"))
    return white
