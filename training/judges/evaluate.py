"""What each judge makes of real drawings, of drawings it never saw, and of a mush of colours.

``python -m training.judges.evaluate [--prompts 128]`` prints the table and puts it between the marks of
``models/pocket-judge/README.md``. A judge that cannot tell the first from the last is none.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

from training import glyphs
from training.captions import COLOURS, random_colour
from training.cards import write_figures
from training.judges.asked import Asked
from training.judges.learn import kept
from training.judges.network import FOLDER
from training.judges.panel import FIGURES, Panel, mean
from training.judges.spoiling import coarse
from training.settings import models_folder, work_folder

FLOOR = 48  # prompts of the slow row


def ask(count: int, seed: int) -> list[Asked]:
    """Drawn names of the vocabulary with styles and backgrounds, ``count`` in all."""
    _, rows = glyphs.load(work_folder())
    wanted, rng = set(glyphs.vocabulary()), np.random.default_rng(seed)
    known = [glyph for glyph in rows if glyph.name in wanted]
    return [
        Asked(known[int(i)].name, known[int(i)].style, random_colour(rng))
        for i in rng.choice(len(known), count, replace=False)
    ]


def unseen(count: int) -> list[Asked]:
    """Drawings of the vocabulary that the ConvNet never saw, of names that it saw in other styles."""
    _, rows = glyphs.load(work_folder())
    wanted, rng = set(glyphs.vocabulary()), np.random.default_rng(0)
    hidden = [rows[i] for i in sorted(kept(rows)) if rows[i].name in wanted]
    colours = list(COLOURS)
    return [
        Asked(glyph.name, glyph.style, colours[int(rng.integers(len(colours)))]) for glyph in hidden[:count]
    ]


def row(label: str, panel: Panel, pictures: Tensor, asked: list[Asked]) -> str:
    """A line of the table."""
    opinion = panel.see(pictures, asked)
    shown = [
        f"{mean(opinion, field):.1f}" if field == "distance" else f"{mean(opinion, field):.3f}"
        for field, *_ in FIGURES
    ]
    return f"| {label} | {len(asked)} | {' | '.join(shown)} |"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=128)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    panel, asked, new = Panel(), ask(options.prompts, seed=5), unseen(options.prompts)
    drawings, drawn = panel.ceiling(asked)
    others, _ = panel.ceiling(new)
    rng = np.random.default_rng(6)
    shuffled = [drawn[int(i)] for i in rng.permutation(len(drawn))]
    wrong, _ = panel.ceiling(
        [Asked(other.name, other.style, one.colour) for other, one in zip(shuffled, drawn, strict=True)]
    )
    few = asked[:FLOOR]
    lines = [
        f"| | pictures | {' | '.join(heading for _, heading, _ in FIGURES)} |",
        "|---" * (len(FIGURES) + 2) + "|",
        row("real drawings", panel, drawings, drawn),
        row("drawings that the ConvNet never saw", panel, others, new),
        row("the same drawings at 8 x 8 px", panel, coarse(drawings * 2 - 1) / 2 + 0.5, drawn),
        row("8 x 8 px optimised by pocket-m and pocket-s", panel, panel.floor(few), few),
        row("drawings of something else", panel, wrong, drawn),
    ]
    table = "\n".join(lines)
    print(table)
    write_figures(models_folder() / FOLDER / "README.md", table)


if __name__ == "__main__":
    main()
