"""Draw what the pocket model can do: ``python -m docs.make_pictures`` writes three pictures into ``docs/images``.

``pocket.webp`` for the model card: eight things in four styles, unguided. ``guided.webp`` for the README: things that
the model knows, and below, from the same noise, each steered towards a thing of its kind that it never saw; the first
eight of the benchmark's questions, nothing chosen. ``last-step.webp`` for ``guidance.md``: without guidance, guided to
the very last step, and guided with that step spared. All enlarged three times.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from benchmarks.ladder.rungs import Ladder
from benchmarks.ladder.settings import SETTINGS, Setting
from jobs.catalog.catalog import load_catalog
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from training.judges import network
from training.judges.asked import Drawings
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
SHOWN = 8  # pairs for the README: the first questions of the rung "kin" of ``python -m benchmarks.ladder``
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
    questions = Ladder(Drawings(), SHOWN).kin().questions
    pairs = [
        GenerateRequest.model_validate({"seed": 1000 * seed, **setting.request(question)})
        for setting in (Setting(), SETTINGS["broad by the robust guide"])
        for seed, question in enumerate(questions)
    ]
    save(grid, 2 * len(STYLES), runner, "pocket.webp")
    shown = save(pairs, SHOWN, runner, "guided.webp")
    tell_preferred(shown, [question.things[0].name for question in questions])
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


@torch.no_grad()
def tell_preferred(pictures: Tensor, names: Sequence[str]) -> None:
    """Print in how many pairs the judge, a ConvNet that guides nothing, finds the thing rather in the guided one."""
    judge = network.load(ROOT / "models" / network.FOLDER)
    logits, _ = judge(pictures * 2 - 1)
    things = [judge.names.index(name) for name in names] * 2
    found = logits.log_softmax(dim=1)[torch.arange(len(things)), things]
    preferred = int((found[SHOWN:] > found[:SHOWN]).sum())
    print(f"the judge prefers the guided picture in {preferred} of {SHOWN} pairs")


def save(requests: Sequence[GenerateRequest], columns: int, runner: Runner, name: str) -> Tensor:
    """Draw the requests into one picture of so many columns; the pictures [N, 3, H, W] in [0, 1]."""
    asked = [resolve(request, runner.models.catalog) for request in requests]
    pictures = torch.stack([picture.pixels for (picture,) in generate_all(asked, runner)])
    large = F.interpolate(pictures, scale_factor=3, mode="bicubic").clamp(0, 1)
    to_pil_image(make_grid(large, nrow=columns, padding=6, pad_value=1)).save(IMAGES / name, quality=92)
    print(IMAGES / name)
    return pictures


if __name__ == "__main__":
    main()
