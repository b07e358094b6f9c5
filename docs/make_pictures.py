"""Draw the picture of the README: ``python -m docs.make_pictures`` writes ``docs/images/guided.png``.

Above without guidance, below with the defaults of ``laion``, at the same seeds; enlarged three times.
"""

from pathlib import Path

import torch
from torch.nn import functional as F
from torchvision.utils import make_grid, save_image

from jobs.catalog import load_catalog
from jobs.guidance import Guidance
from jobs.request import GenerateRequest
from jobs.resolve import resolve
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.runner import Runner
from worker.settings import WorkerSettings
from worker.solo import draw

ROOT = Path(__file__).parent.parent
SEED = 7
PROMPTS = (
    "noto red apple on a light blue background",
    "twemoji rocket on a dark blue background",
    "fluent sunflower on a green background",
    "noto pizza",
    "twemoji green apple on a pink background",
    "flat soccer ball on a yellow background",
)


def main() -> None:
    """Draw and save."""
    models = ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings()))
    runner, judge = Runner(models), models.catalog.model(None).clip
    requests = [
        GenerateRequest(prompt=prompt, seed=SEED, guidance=guidance)
        for guidance in (None, Guidance())
        for prompt in PROMPTS
    ]
    pictures = [draw(resolve(request, models.catalog), runner, judge).pixels for request in requests]
    large = F.interpolate(torch.stack(pictures), scale_factor=3, mode="bicubic").clamp(0, 1)
    path = Path(__file__).parent / "images" / "guided.png"
    save_image(make_grid(large, nrow=len(PROMPTS), padding=6, pad_value=1), path)
    print(path)


if __name__ == "__main__":
    main()
