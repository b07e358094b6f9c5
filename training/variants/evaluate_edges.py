"""Measure pocket-edges on drawings that no stage has seen and on known ones, and write the card's table.

``python -m training.variants.evaluate_edges`` draws from the same noise with and without maps. The judge of names is
pocket-eval. Some pictures go to ``edges-unseen.png`` and ``edges-known.png`` in the work folder.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import glyphs
from training.adapters.judge import Judge
from training.cards import write_figures
from training.settings import models_folder, work_folder
from training.variants.edge_figures import edge_f1
from training.variants.edges import NAME, edge_map, edges_of
from training.variants.evaluate_inpaint import save_grid
from training.variants.following import Follower, Served
from training.variants.mapped import Mapped, Problems, unseen

COUNT = 32
HEADING = ["| names | | edge F1, 2 px | 1 px | name, top 1 | top 5 |", "|---|---|---|---|---|---|"]


def edges(pictures: Tensor) -> Tensor:
    """The edges [N, H, W] of pictures [N, 3, H, W] in [0, 1]."""
    found = [edges_of(picture.numpy()) for picture in pictures * 2 - 1]
    return torch.from_numpy(np.stack(found))


class Gauge:
    """Draws with and without a ControlNet, and measures what was drawn."""

    def __init__(self, folder: Path) -> None:
        """Load the networks.

        Args:
            folder: of the ControlNet.
        """
        self._judge, self._follower = Judge(), Follower()
        self._control = Served(folder, self._follower.unet)
        self.true = self._follower.true

    def draw(self, mapped: Mapped, *, with_map: bool) -> Tensor:
        """Pictures [N, 3, 64, 64] in [0, 1]."""
        return self._follower.draw(mapped, self._control if with_map else None)

    def line(self, label: str, pictures: Tensor, maps: Tensor, names: Sequence[str]) -> str:
        """A line of the table."""
        found, wanted = edges(pictures), maps[:, 0] > 0
        close, closer = (edge_f1(found, wanted, tolerance) for tolerance in (2, 1))
        top_1, top_5 = self._judge.names(self._judge.see(pictures), names)
        line = f"| {label} | {close:.3f} | {closer:.3f} | {top_1:.1%} | {top_5:.1%} |"
        print(line, flush=True)
        return line


def unseen_rows(gauge: Gauge) -> list[str]:
    """Lines of the table: with the edges of things that captions do not say to pocket."""
    problems = Problems(2, COUNT, unseen(), edge_map)
    whole, names = problems.whole, [glyph.name for glyph, _ in problems.shown]
    made = {
        "the drawings through the autoencoder": gauge.true(whole),
        "told the caption": gauge.draw(whole, with_map=False),
        "told caption and edges": gauge.draw(whole, with_map=True),
        "told the edges": gauge.draw(replace(whole, captions=[""] * COUNT), with_map=True),
    }
    first, *rest = made.values()
    save_grid([first, whole.maps, *rest], work_folder() / "edges-unseen.png")
    return [gauge.line(f"unseen | {what}", shown, whole.maps, names) for what, shown in made.items()]


def known_rows(gauge: Gauge) -> list[str]:
    """Likewise of things that pocket knows, with their own edges and with those of another."""
    problems = Problems(3, COUNT, set(glyphs.learned()), edge_map)
    own, names = problems.whole, [glyph.name for glyph, _ in problems.shown]
    other = replace(own, maps=own.maps.roll(1, dims=0))
    free = gauge.draw(own, with_map=False)
    made = (
        ("the drawings through the autoencoder", gauge.true(own), own),
        ("told the caption", free, own),
        ("told caption and edges", gauge.draw(own, with_map=True), own),
        ("told the caption, by another's edges", free, other),
        ("told caption and another's edges", gauge.draw(other, with_map=True), other),
    )
    grid = [made[0][1], own.maps, free, made[2][1], other.maps, made[4][1]]
    save_grid(grid, work_folder() / "edges-known.png")
    return [gauge.line(f"known | {what}", shown, by.maps, names) for what, shown, by in made]


def main() -> None:
    """Measure, and write the table and the grids."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=Path, default=models_folder() / NAME)
    options = parser.parse_args()
    torch.set_num_threads(1)
    gauge = Gauge(options.control)
    lines = [f"{COUNT} pictures each:", "", *HEADING, *unseen_rows(gauge), *known_rows(gauge)]
    if options.control == models_folder() / NAME:
        write_figures(options.control / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
