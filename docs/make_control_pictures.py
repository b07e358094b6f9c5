"""Draw what the control of this repository does: writes ``docs/images/control-edges.webp``.

``python -m docs.make_control_pictures``. At the left a drawing, and below the edges that the service finds in it. Then
five prompts at one seed: without the edges, with them at weight 1, and at weight 1.6. It asks a service of its own over
HTTP, as anybody would.
"""

import numpy as np
from PIL import Image

from docs.make_editing_pictures import Draw, base64_of, save, served
from jobs.pictures.maps.edges import canny

SOURCE = "noto fox on a light blue background"
PROMPTS = (
    "twemoji wolf on a dark blue background",
    "noto panda on a green background",
    "flat rabbit on a red background",
    "flat lion on a pink background",
    "noto mouse on an orange background",
)
WEIGHTS = (0.0, 1.0, 1.6)
LOW, HIGH = 100, 200  # the service's defaults


def main() -> None:
    """Start, draw, save, stop."""
    served(make)


def make(draw: Draw) -> None:
    """Draw and save it."""
    source, _ = draw(SOURCE)
    control = {"model": "edges", "image": base64_of(source)}
    left = (source, edges(source), Image.new("RGB", source.size, "white"))
    rows = [
        [first, *(draw(prompt, controls=[{**control, "weight": weight}])[0] for prompt in PROMPTS)]
        for first, weight in zip(left, WEIGHTS, strict=True)
    ]
    save("control-edges", rows)


def edges(picture: Image.Image) -> Image.Image:
    """The map that the control reads."""
    return Image.fromarray(canny(np.asarray(picture), LOW, HIGH)).convert("RGB")


if __name__ == "__main__":
    main()
