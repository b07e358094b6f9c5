"""Draw the figure of ``docs/aesthetics.md``: ``python -m docs.make_aesthetic_pictures`` writes it to ``docs/images``.

Left, some of the drawings that an aesthetic embedding was made from, of one emoji style in the upper rows and another
in the lower ones. Beside them two prompts without a style, each from one seed, at a rising number of steps. No hand
chooses the prompts: they are the first of which the judges' ConvNet has the name at 0 and at 20 steps, and sees the
style at 20 steps only. Needs the rendered drawings of ``python -m training.glyphs``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from benchmarks.methods.style import drawings, style_embedding
from benchmarks.methods.taste import STEPS, personalized, prompts, things
from jobs.catalog.catalog import load_catalog
from training.judges.asked import Asked
from training.judges.panel import Panel
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
STYLES = ("fluent", "twemoji")
SEEN_AT, ROWS = 20, 2  # steps, and prompts of a style
SHOWN_PX, CAPTION_PX, GAP_PX = 128, 18, 6


def rows_of(style: str, models: ModelRegistry, panel: Panel, tried: int, lr: float) -> Iterator[list[Tensor]]:
    """The pictures [3, 64, 64] of each prompt that the rule chooses, at 0 steps and at ``STEPS``."""
    clip = models.catalog.model(None).text_clip
    assert clip is not None
    words = prompts(tried)
    embedding = style_embedding(models, style, clip, minus_others=True)
    made = {steps: personalized(models, words, embedding, steps, lr) for steps in (0, *STEPS)}
    asked = [Asked(name, style, colour) for name, colour in things(tried)]
    before, after = (panel.see(made[steps], asked) for steps in (0, SEEN_AT))
    fits = before.net_top_1 * after.net_top_1 * (1 - before.net_style) * after.net_style
    for place in fits.nonzero().flatten()[:ROWS]:
        yield [made[steps][place] for steps in (0, *STEPS)]


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tried", type=int, default=24, help="prompts of which the rule chooses")
    parser.add_argument("--lr", type=float, help="learning rate; by default the model's own")
    options = parser.parse_args()
    models, panel = ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings())), Panel()
    lr = models.catalog.model(None).personalization_lr if options.lr is None else options.lr
    lines = []
    for style in STYLES:
        examples = drawings(style, held_out=False)
        for row, pictures in enumerate(rows_of(style, models, panel, options.tried, lr)):
            four = make_grid(
                torch.stack([examples[37 * (4 * row + each)] for each in range(4)]), nrow=2, padding=0
            )
            lines.append([four, *pictures])
    cell = SHOWN_PX + GAP_PX
    page = Image.new("RGB", (len(lines[0]) * cell + GAP_PX, CAPTION_PX + len(lines) * cell + GAP_PX), "white")
    draw = ImageDraw.Draw(page)
    for column, words in enumerate(["made from", "0 steps", *(f"{steps} steps" for steps in STEPS)]):
        draw.text((GAP_PX + column * cell, 4), words, "black")
    for number, line in enumerate(lines):
        for column, pixels in enumerate(line):
            shown = to_pil_image(pixels).resize((SHOWN_PX, SHOWN_PX), Image.Resampling.BICUBIC)
            page.paste(shown, (GAP_PX + column * cell, CAPTION_PX + GAP_PX + number * cell))
    path = Path(__file__).parent / "images" / "aesthetic.webp"
    page.save(path, quality=90)
    print(path)


if __name__ == "__main__":
    main()
