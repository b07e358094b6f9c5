"""Draw what the pocket model can do: ``python -m docs.make_pictures`` writes three pictures into ``docs/images``.

``pocket.webp`` for the model card: eight things in four styles, unguided. ``guided.webp`` for the README: above without
guidance, below with the defaults of ``laion``, at the same seeds. ``last-step.webp`` for ``guidance.md``: without
guidance, guided to the very last step, and guided with that step spared. All enlarged three times.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from jobs.catalog.catalog import load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SEED = 7
STYLES = ("noto", "twemoji", "fluent", "flat")
THINGS = (
    "red apple on a light blue background",
    "fox",
    "rocket on a dark blue background",
    "teapot on a pink background",
    "castle",
    "sunflower on a green background",
    "robot on a yellow background",
    "hamburger",
)
PROMPTS = (
    "noto red apple on a light blue background",
    "twemoji rocket on a dark blue background",
    "fluent sunflower on a green background",
    "noto pizza",
    "twemoji green apple on a pink background",
    "flat soccer ball on a yellow background",
)
SPOILED = {  # by the last step: of the 64 prompts of guidance_quality those that lose most, with their seeds
    "flat wolf": 5,
    "fluent elephant": 9,
    "flat shark": 1,
    "fluent paperclip": 24,
    "twemoji money bag": 28,
    "twemoji ant": 26,
}


def main() -> None:
    """Draw and save."""
    models = ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings()))
    runner = Runner(models)
    grid = [GenerateRequest(prompt=f"{style} {thing}", seed=SEED) for thing in THINGS for style in STYLES]
    pairs = [
        GenerateRequest(prompt=prompt, seed=SEED, guidance=guidance)
        for guidance in (None, Guidance(preset="laion"))
        for prompt in PROMPTS
    ]
    save(grid, 2 * len(STYLES), runner, "pocket.webp")
    save(pairs, len(PROMPTS), runner, "guided.webp")
    spared = [
        GenerateRequest(prompt=prompt, seed=seed, guidance=guidance)
        for guidance in (
            None,
            Guidance(preset="FAST_GREEN", last_step=True),
            Guidance(preset="FAST_GREEN"),
        )
        for prompt, seed in SPOILED.items()
    ]
    save(spared, len(SPOILED), runner, "last-step.webp")


def save(requests: Sequence[GenerateRequest], columns: int, runner: Runner, name: str) -> None:
    """Draw the requests into one picture of so many columns."""
    asked = [resolve(request, runner.models.catalog) for request in requests]
    pictures = torch.stack([picture.pixels for (picture,) in generate_all(asked, runner)])
    large = F.interpolate(pictures, scale_factor=3, mode="bicubic").clamp(0, 1)
    to_pil_image(make_grid(large, nrow=columns, padding=6, pad_value=1)).save(IMAGES / name, quality=92)
    print(IMAGES / name)


if __name__ == "__main__":
    main()
