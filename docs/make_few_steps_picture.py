"""Draw what few steps make: ``python -m docs.make_few_steps_picture`` writes ``docs/images/few-steps.webp``.

Six things in 25 steps of `ddim`; below in one step of `lcm`; below in four steps; below the same with the adapter of
that name. It asks a service of its own over HTTP, as anybody would.
"""

from typing import Any

from docs.make_adapter_pictures import told
from docs.make_editing_pictures import Draw, save, served

PROMPTS = (
    "noto fox",
    "twemoji rocket on a dark blue background",
    "fluent red apple on a light blue background",
    "flat teapot",
    "noto sunflower on a green background",
    "fluent robot",
)
ROWS: tuple[dict[str, Any], ...] = (
    {"sampler": "ddim", "steps": 25, "cfg_scale": 2},
    {"sampler": "lcm", "steps": 1, "cfg_scale": 1},
    {"sampler": "lcm", "steps": 4, "cfg_scale": 1},
    {"sampler": "lcm", "steps": 4, "cfg_scale": 1, "adapters": [told("lcm", 1)]},
)


def main() -> None:
    """Start, draw, save, stop."""
    served(make)


def make(draw: Draw) -> None:
    """Draw and save them."""
    save("few-steps", [[draw(prompt, **fields)[0] for prompt in PROMPTS] for fields in ROWS])


if __name__ == "__main__":
    main()
