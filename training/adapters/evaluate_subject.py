"""Measure what pocket learned of a thing that it never saw, and write the tables of the two cards.

``python -m training.adapters.evaluate_subject`` draws 32 pictures in four styles with each way of asking. The judge is
pocket-eval, which has not seen the thing either; it compares pictures with true drawings.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from training import glyphs
from training.adapters.figures import centroids, picked
from training.adapters.judge import Artist, Judge
from training.adapters.subject import CALLED, NAME, UNSEEN_STYLE
from training.adapters.word import START, WORD
from training.captions import compose
from training.cards import write_figures
from training.evaluate import prompts
from training.settings import models_folder, work_folder

STYLES = glyphs.STYLES[:4]
SEEDS = 8
OTHERS = 48
HEADING = ["| | similarity | picked | similarity, unseen style | picked |", "|---|---|---|---|---|"]


class Thing:
    """Measures pictures against the true drawings of the thing and of 255 others."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        wanted = set(glyphs.vocabulary(glyphs.CORE))
        rows = [pair for pair in zip(*glyphs.load(work_folder()), strict=True) if pair[1].name in wanted]
        pictures = torch.stack([torch.from_numpy(compose(rgba, "white")) / 2 + 0.5 for rgba, _ in rows])
        features = judge.see(pictures)
        names = sorted(wanted)
        self._centres = centroids(features, [row.name for _, row in rows], names)
        self._own = names.index(NAME)
        self._true = {
            row.style: feature for (_, row), feature in zip(rows, features, strict=True) if row.name == NAME
        }

    def row(self, label: str, pictures: Tensor, styles: Sequence[str]) -> str:
        """A line of the table; ``styles`` are those that the pictures were asked for in."""
        features = self._judge.see(pictures)
        similar = (features * torch.stack([self._true[style] for style in styles])).sum(dim=1)
        unseen = torch.tensor([style == UNSEEN_STYLE for style in styles])
        figures = [
            f"{similar[chosen].mean():.3f} | {picked(features[chosen], self._centres, self._own):.1%}"
            for chosen in (~unseen, unseen)
        ]
        line = f"| {label} | {' | '.join(figures)} |"
        print(line, flush=True)
        return line


def asked(called: str) -> list[str]:
    """32 prompts."""
    return [f"{style} {called}" for style in STYLES for _ in range(SEEDS)]


def others(judge: Judge, artist: Artist, label: str, **fields: Any) -> str:
    """How often the judge names known things in pictures of them."""
    pairs = prompts(OTHERS, glyphs.learned())
    features = judge.see(artist.draw([f"{style} {name}" for name, style in pairs], **fields))
    top_1, top_5 = judge.names(features, [name for name, _ in pairs])
    line = f"| {label} | {top_1:.1%} | {top_5:.1%} |"
    print(line, flush=True)
    return line


def main() -> None:
    """Measure, and write the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    judge, artist = Judge(), Artist()
    thing, folder = Thing(judge), models_folder() / "adapters"
    styles = [style for style in STYLES for _ in range(SEEDS)]
    adapted: dict[str, Any] = {"adapters": [{"name": NAME, "weight": 1.0}]}
    truth = [thing.row("the true drawings", *true_drawings())]
    plain = [thing.row(f"pocket, told {words}", artist.draw(asked(words)), styles) for words in (NAME, START)]
    learned = thing.row(f"the adapter, told {CALLED}", artist.draw(asked(CALLED), **adapted), styles)
    word = thing.row(f"the word, told {WORD}", artist.draw(asked(WORD)), styles)
    known = [others(judge, artist, "pocket"), others(judge, artist, "with the adapter", **adapted)]
    known = [
        "",
        f"{OTHERS} pictures of known things:",
        "",
        "| | name, top 1 | top 5 |",
        "|---|---|---|",
        *known,
    ]
    for name, own, more in ((NAME, learned, known), (f"{NAME}-word", word, [])):
        table = [f"{len(styles)} pictures each:", "", *HEADING, *truth, *plain, own, *more]
        write_figures(folder / name / "README.md", "\n".join(table))


def true_drawings() -> tuple[Tensor, list[str]]:
    """The thing's own drawings on white in the four styles."""
    rows = [
        (rgba, row.style)
        for rgba, row in zip(*glyphs.load(work_folder()), strict=True)
        if row.name == NAME and row.style in STYLES
    ]
    pictures = [torch.from_numpy(compose(rgba, "white")) / 2 + 0.5 for rgba, _ in rows]
    return torch.stack(pictures), [style for _, style in rows]


if __name__ == "__main__":
    main()
