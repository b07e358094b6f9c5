"""Measure pocket-tiles, alone and beside pocket-edges, and write the card's table.

``python -m training.variants.evaluate_tiles`` draws from the same noise with and without maps. The judge of names is
pocket-eval. Some pictures go to ``tiles-unseen.png`` and ``tiles-known.png`` in the work folder.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.adapters.judge import Judge
from training.cards import write_figures
from training.settings import models_folder, work_folder
from training.variants.edge_figures import edge_f1
from training.variants.edges import NAME as EDGES
from training.variants.edges import edge_map
from training.variants.evaluate_edges import edges
from training.variants.evaluate_inpaint import save_grid
from training.variants.following import Both, Follower, Served
from training.variants.mapped import MapOf, Mapped, Problems, unseen
from training.variants.tiles import NAME, tiles_of

COUNT, STEPS = 16, 10
SIDE_PX = 8  # of a tile
HEADING = [
    "| names | | tile colour error | edge F1, 2 px | name, top 1 | top 5 |",
    "|---|---|---|---|---|---|",
]


def tile_error(pictures: Tensor, maps: Tensor) -> float:
    """How far the mean colours of tiles of two sets of pictures [N, 3, H, W] in [0, 1] are apart, in 1/255."""
    one, other = (F.avg_pool2d(each, SIDE_PX) for each in (pictures, maps))
    return float((one - other).abs().mean() * 255)


def tiles(picture: npt.NDArray[np.float32], _: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The map of one size of tiles."""
    return tiles_of(picture, SIDE_PX)


class Gauge:
    """Draws with any of the two controls, and measures what was drawn."""

    def __init__(self) -> None:
        """Load the networks."""
        self._judge, self.follower = Judge(), Follower(STEPS)
        self.tiles, self.edges = (
            Served(models_folder() / name, self.follower.unet) for name in (NAME, EDGES)
        )

    def line(self, label: str, pictures: Tensor, by: tuple[Tensor, Tensor], names: Sequence[str]) -> str:
        """A line of the table, against maps of tiles and of edges."""
        of_tiles, of_edges = by
        top_1, top_5 = self._judge.names(self._judge.see(pictures), names)
        followed = edge_f1(edges(pictures), of_edges[:, 0] > 0)
        line = (
            f"| {label} | {tile_error(pictures, of_tiles):.1f} | {followed:.3f} | {top_1:.1%} | {top_5:.1%} |"
        )
        print(line, flush=True)
        return line


def shown(seed: int, names: set[str], map_of: MapOf) -> tuple[Mapped, list[str]]:
    """Drawings with their maps, and their names; the same drawings for the same seed."""
    problems = Problems(seed, COUNT, names, map_of)
    return problems.whole, [glyph.name for glyph, _ in problems.shown]


def unseen_rows(gauge: Gauge) -> list[str]:
    """Lines of the table: with the colours of things that captions do not say to pocket."""
    whole, names = shown(2, unseen(), tiles)
    own_edges = shown(2, unseen(), edge_map)[0].maps
    draw, by = gauge.follower.draw, (whole.maps, own_edges)
    made = {
        "the drawings through the autoencoder": gauge.follower.true(whole),
        "told the caption": draw(whole),
        "told caption and tiles": draw(whole, gauge.tiles),
        "told the tiles": draw(replace(whole, captions=[""] * COUNT), gauge.tiles),
        "told the tiles and the edges": draw(
            replace(whole, captions=[""] * COUNT, maps=torch.cat(by, dim=1)), Both(gauge.tiles, gauge.edges)
        ),
    }
    first, *rest = made.values()
    save_grid([first, whole.maps, *rest], work_folder() / "tiles-unseen.png")
    return [gauge.line(f"unseen | {what}", pictures, by, names) for what, pictures in made.items()]


def known_rows(gauge: Gauge) -> list[str]:
    """Likewise of things that pocket knows, in the colours of another and by the edges of a third."""
    whole, names = shown(3, set(glyphs.learned()), tiles)
    of_tiles = whole.maps.roll(1, dims=0)
    of_edges = shown(3, set(glyphs.learned()), edge_map)[0].maps.roll(2, dims=0)
    draw, by = gauge.follower.draw, (of_tiles, of_edges)
    both = replace(whole, maps=torch.cat(by, dim=1))
    made = {
        "told the caption": draw(whole),
        "told caption and another's tiles": draw(replace(whole, maps=of_tiles), gauge.tiles),
        "told caption and a third's edges": draw(replace(whole, maps=of_edges), gauge.edges),
        "told caption, another's tiles and a third's edges": draw(both, Both(gauge.tiles, gauge.edges)),
    }
    save_grid(
        [gauge.follower.true(whole), of_tiles, of_edges, *made.values()], work_folder() / "tiles-known.png"
    )
    return [gauge.line(f"known | {what}", pictures, by, names) for what, pictures in made.items()]


def main() -> None:
    """Measure, and write the table and the grids."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    gauge = Gauge()
    lines = [f"{COUNT} pictures each:", "", *HEADING, *unseen_rows(gauge), *known_rows(gauge)]
    write_figures(models_folder() / NAME / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
