"""Teach pocket one thing that it never saw, from four drawings: DreamBooth (Ruiz 2022) with low-rank factors.

``python -m training.adapters.subject`` resumes where it stopped and writes ``models/adapters/NAME``. Half of each batch
is the thing, called "sks bird", half what the model knows, so that it stays known (section 3.2). After each checkpoint
the thing is drawn to ``subject.png`` in the work folder.
"""

import argparse

import torch
from torch import Tensor

from training import glyphs
from training.adapters.drawings import Drawing, Latents, everywhere, known
from training.adapters.lora import About, export, learn
from training.glyphs import Glyph
from training.loop import Plan, join
from training.settings import models_folder, work_folder
from training.unet import draw_grid

NAME = "penguin"  # of a held-out name: no stage has seen it
CALLED = "sks bird"  # a rare word and a class (section 3.1)
UNSEEN_STYLE = "twemoji"  # to see whether the thing was learned, or its drawings
RANK = 4
BATCH = 32
KNOWN = 512
PROMPTS = (
    *(
        f"{style} {CALLED}{ground}"
        for ground in ("", " on a yellow background")
        for style in glyphs.STYLES[:4]
    ),
    *(f"{style} fox" for style in glyphs.STYLES[:4]),
    *(f"{style} castle" for style in glyphs.STYLES[:4]),
)


def lessons(called: str) -> list[Drawing]:
    """The thing's drawings on every background, in all styles but one, under another name."""
    rows = []
    for rgba, row in zip(*glyphs.load(work_folder()), strict=True):
        if row.name == NAME and row.style != UNSEEN_STYLE:
            rows += everywhere(rgba, Glyph(called, row.style))
    return rows


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=5e-4)
    options = parser.parse_args()
    join()
    thing = Latents(lessons(CALLED), seed=0, drop=0.1)
    others = Latents(known(KNOWN), seed=1, drop=0.1)

    def at(step: int) -> tuple[Tensor, list[str]]:
        (x, captions), (more, others_captions) = (each.at(step, BATCH // 2) for each in (thing, others))
        # In turn, as the noise levels go up along the batch.
        both = torch.stack([x, more], dim=1).flatten(0, 1)
        return both, [words for pair in zip(captions, others_captions, strict=True) for words in pair]

    plan = Plan(steps=options.steps, lr=options.lr, warmup_steps=10, ema_decay=0.95)
    unet = learn(
        "subject",
        RANK,
        at,
        plan,
        look=lambda averaged, step: draw_grid(averaged, step, PROMPTS, "subject"),
    )
    about = About("A thing that pocket never saw, for pocket", CALLED, "Apache-2.0")
    export(unet, models_folder() / "adapters" / NAME, about)


if __name__ == "__main__":
    main()
