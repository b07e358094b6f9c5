"""Draw what editing does: ``python -m docs.make_editing_pictures`` writes ``docs/images/editing-*.webp``.

``editing-strengths``: a picture, and what five strengths make of it. ``editing-mask``: a picture, a mask and two
results. ``editing-guided``: edits without guidance above, and guided below; it prints the mean CLIP score of each row.
It asks a service of its own on the pocket model over HTTP, as anybody would, and enlarges every picture twice.
"""

import base64
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
from PIL import Image, ImageDraw

from app.stack.preflight import free_port
from app.stack.stack import StackOptions, running_stack

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SCALE, GAP_PX = 2, 8
PATIENCE_S = 300
SEED = 7
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
SOURCE = "noto red apple on a light blue background"
EDIT = "noto green pear on a light blue background"
EDITS = (
    "noto hamburger on a light blue background",
    "noto soccer ball on a light blue background",
    "noto sunflower on a light blue background",
    "noto tomato on a light blue background",
    "noto pizza on a light blue background",
    "noto doughnut on a light blue background",
)

Draw = Callable[..., tuple[Image.Image, float]]


def main() -> None:
    """Start, draw, save, stop."""
    served(make)


def served(make: Callable[[Draw], None]) -> None:
    """Make pictures with a service of its own on the shipped models."""
    host = "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        options = StackOptions(host, free_port(host), Path(folder), ROOT / "models.toml")
        with (
            running_stack(options, say=print),
            httpx.Client(base_url=options.url, timeout=PATIENCE_S) as client,
        ):
            make(lambda prompt, **fields: drawn(client, prompt, **fields))


def make(draw: Draw) -> None:
    """Draw and save all of them."""
    source, _ = draw(SOURCE)
    start = {"image": base64_of(source)}
    mask = upper_half(source.size)
    masked = {"init": start, "mask": {"image": base64_of(mask)}}
    by_strength = [draw(EDIT, init={**start, "strength": strength})[0] for strength in STRENGTHS]
    save("editing-strengths", [[source, *by_strength]])
    save("editing-mask", [[source, mask, *(draw(prompt, **masked)[0] for prompt in (EDIT, EDITS[0]))]])
    rows = []
    choices: tuple[dict[str, Any], ...] = ({}, {"guidance": "laion"})
    for guidance in choices:
        made = [draw(prompt, init={**start, "strength": 0.7}, **guidance) for prompt in EDITS]
        print(f"{'guided' if guidance else 'unguided'}: CLIP {fmean(score for _, score in made):.3f}")
        rows.append([picture for picture, _ in made])
    save("editing-guided", rows)


def drawn(client: httpx.Client, prompt: str, **fields: Any) -> tuple[Image.Image, float]:
    """The picture of a request and its CLIP score."""
    wait = {"Prefer": f"wait={PATIENCE_S}"}
    request = {"prompt": prompt, "seed": SEED, **fields}
    (image,) = client.post("/v1/jobs", json=request, headers=wait).raise_for_status().json()["images"]
    png = client.get(image["url"]).raise_for_status().content
    return Image.open(io.BytesIO(png)).convert("RGB"), image["clip_score"]


def upper_half(size: tuple[int, int]) -> Image.Image:
    """A mask that paints the upper half of a picture anew."""
    mask = Image.new("RGB", size, "black")
    ImageDraw.Draw(mask).rectangle((0, 0, size[0], size[1] // 2 - 1), fill="white")
    return mask


def base64_of(picture: Image.Image) -> str:
    """Its PNG file, as a request takes it."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def save(name: str, rows: Sequence[Sequence[Image.Image]]) -> None:
    """Write rows of pictures as one."""
    width, height = (side * SCALE for side in rows[0][0].size)
    sheet = Image.new(
        "RGB",
        (len(rows[0]) * (width + GAP_PX) - GAP_PX, len(rows) * (height + GAP_PX) - GAP_PX),
        "white",
    )
    for down, row in enumerate(rows):
        for right, picture in enumerate(row):
            large = picture.resize((width, height), Image.Resampling.BICUBIC)
            sheet.paste(large, (right * (width + GAP_PX), down * (height + GAP_PX)))
    path = IMAGES / f"{name}.webp"
    sheet.save(path, "WEBP", quality=90, method=6)
    print(f"{path} ({path.stat().st_size // 1000} kB)")


if __name__ == "__main__":
    main()
