"""The pictures that clients send."""

from pathlib import Path

from PIL import Image


def write_pictures(folder: Path) -> None:
    """Two pictures, and a mask whose upper half is transparent and else opaque, of 64 pixels each."""
    for name in ("table", "pear"):
        Image.new("RGB", (64, 64), (120, 160, 200)).save(folder / f"{name}.png")
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 32))
    mask.save(folder / "mask.png")
