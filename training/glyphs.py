"""Render the openly licensed emoji sets to one array of small RGBA pictures.

``python -m training.glyphs`` downloads five public npm packages, renders every glyph that the vocabulary
(``names.txt``) or the wider set names, and writes ``glyphs.npy`` (uint8, [N, 64, 64, 4]) with ``glyphs.json``
(one ``{"name", "style"}`` a row) into the work folder. Takes about two minutes.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image

from training.settings import work_folder

NAMES = Path(__file__).parent / "names.txt"
CORE = Path(__file__).parent / "names-core.txt"  # the part of them that the denoiser learns
PICTURE_PX = 64
GLYPH_PX = 56  # leaves a margin of 4 px, so that a shift of 3 px never cuts a glyph off
RENDER_PX = 256
HELD_OUT_SHARE = 0.05
STEM = "glyphs"

PACKAGES = {
    "noto": "@iconify-json/noto",
    "twemoji": "@iconify-json/twemoji",
    "fluent": "@iconify-json/fluent-emoji",
    "flat": "@iconify-json/fluent-emoji-flat",
    "fxemoji": "@iconify-json/fxemoji",
}
STYLES = tuple(PACKAGES)
# People, flags and lettered buttons are left out of the wide set too: 64 px cannot hold what tells them apart.
WIDE_CATEGORIES = {"Activities", "Animals & Nature", "Food & Drink", "Objects", "Travel & Places"}


@dataclass(frozen=True)
class Glyph:
    """One drawing: its name in plain words and the emoji set that drew it."""

    name: str
    style: str


def vocabulary(file: Path = NAMES) -> list[str]:
    """The names in a file, in plain words ("red apple")."""
    return [line.replace("-", " ") for line in file.read_text().split()]


def learned(file: Path = CORE) -> list[str]:
    """The names in a file of which a model that learns them sees drawings."""
    return [name for name in vocabulary(file) if not is_held_out(name)]


def is_held_out(name: str) -> bool:
    """Whether every style of ``name`` is kept out of training: a fixed 5 % by hash."""
    return int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32 < HELD_OUT_SHARE


def load(work: Path, stem: str = STEM) -> tuple[npt.NDArray[np.uint8], list[Glyph]]:
    """The rendered glyphs [N, 64, 64, 4] and what they are, as ``save`` wrote them."""
    rows = json.loads((work / f"{stem}.json").read_text())
    return np.load(work / f"{stem}.npy"), [Glyph(**row) for row in rows]


def save(work: Path, pictures: list[npt.NDArray[np.uint8]], glyphs: list[Glyph], stem: str = STEM) -> None:
    """Write glyphs as ``load`` reads them."""
    np.save(work / f"{stem}.npy", np.stack(pictures))
    (work / f"{stem}.json").write_text(json.dumps([asdict(glyph) for glyph in glyphs]))
    print(f"{len(glyphs)} glyphs of {len({glyph.name for glyph in glyphs})} names in {work}")


def download(package: str) -> dict[str, Any]:
    """``icons.json`` and the categories of one npm package at its newest version."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", package, "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            members = ("icons.json", "metadata.json")
            icons, metadata = (json.load(_member(tar, f"package/{name}")) for name in members)
    return {**icons, "categories": metadata.get("categories", {})}


def _member(tar: tarfile.TarFile, name: str) -> io.BufferedIOBase:
    member = tar.extractfile(name)
    if member is None:
        raise FileNotFoundError(f"{name} is missing from the package")
    return member  # type: ignore[return-value]


def _wanted(sets: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Icon key by plain name: every glyph of the wide categories that at least noto draws."""
    categories = sets["noto"]["categories"]
    keys = {key for name in WIDE_CATEGORIES for key in categories.get(name, ())}
    keys |= {name.replace(" ", "-") for name in vocabulary()}
    return {key.replace("-", " "): key for key in sorted(keys)}


def render(icon: dict[str, Any], icon_set: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """A glyph of a set in the middle of a square of 64 px, [64, 64, 4] with straight alpha."""
    width = icon.get("width", icon_set.get("width", 16))
    height = icon.get("height", icon_set.get("height", 16))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    body = icon["body"].replace("xlink:href", "href")
    size = f'width="{RENDER_PX}" height="{RENDER_PX}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size}>{body}</svg>'
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RENDER_PX))))
    # Shrinking straight alpha bleeds the colour of invisible pixels into the edges; premultiplied does not.
    small = picture.convert("RGBA").convert("RGBa").resize((GLYPH_PX, GLYPH_PX), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (PICTURE_PX, PICTURE_PX))
    margin = (PICTURE_PX - GLYPH_PX) // 2
    canvas.paste(small.convert("RGBA"), (margin, margin))
    return np.asarray(canvas)


def main() -> None:
    """Download, render and store all glyphs."""
    work = work_folder()
    sets = {style: download(package) for style, package in PACKAGES.items()}
    # fxemoji writes its keys without hyphens.
    sets["fxemoji"]["icons"] = {key.replace("-", ""): icon for key, icon in sets["fxemoji"]["icons"].items()}
    pictures, glyphs = [], []
    for name, key in _wanted(sets).items():
        for style, icon_set in sets.items():
            icon = icon_set["icons"].get(key.replace("-", "") if style == "fxemoji" else key)
            if icon is not None:
                pictures.append(render(icon, icon_set))
                glyphs.append(Glyph(name, style))
    save(work, pictures, glyphs)


if __name__ == "__main__":
    main()
