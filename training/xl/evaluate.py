"""Measure what pocket-xl makes of sizes, cuts and names, write the tables of its card, and draw its grid.

``python -m training.xl.evaluate`` draws with the catalog's models, as the service does. The grid goes to
``docs/images/pocket-xl.webp``: three prompts, each at four sizes, then at four cuts on the left.
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from training import glyphs
from training.adapters.judge import Artist
from training.cards import write_figures
from training.evaluate import figures_row, prompts
from training.judges.asked import Asked, Drawings
from training.judges.panel import FIGURES, Panel, change
from training.settings import models_folder
from training.xl.drawings import MOST_CUT_PX, SIDES, Making, made
from training.xl.figures import centroids, follows, laplacian_energy

NAME = "pocket-xl"
CUTS = tuple(range(0, MOST_CUT_PX + 1, 3))
SHOWN = ("noto red apple", "twemoji rocket on a dark blue background", "fluent sunflower")
SHOWN_CUTS = (0, 4, 8, 12)
SHOWN_PX = 96
GRID = models_folder().parent / "docs" / "images" / f"{NAME}.webp"


class Painter:
    """Draws with stated sizes."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._artist = Artist(model=NAME)

    def draw(self, wanted: Sequence[str], making: Making) -> Tensor:
        """One picture of each prompt as of such a making, [N, 3, 64, 64] in [0, 1]; the seed is the prompt's number."""
        sizes = {
            "original": {"width": making.side, "height": making.side},
            "crop": {"left": making.left, "top": making.top},
        }
        return self._artist.draw(wanted, sizes=sizes)


def names_rows(asked: Sequence[Asked]) -> Iterator[str]:
    """The judges' figures of pocket's pictures and of pocket-xl's, at the same seeds."""
    panel, opinions = Panel(), []
    for model in ("pocket", NAME):
        pictures = Artist(model=model).draw([one.prompt for one in asked])
        opinions.append(panel.see(pictures, asked))
        yield figures_row(model, opinions[-1])
    before, after = opinions
    told = (change(before, after, field).text for field, *_ in FIGURES)
    yield f"| change | {' | '.join(told)} |"


def real(asked: Sequence[Asked], making: Making, drawings: Drawings) -> Tensor:
    """The real drawings, made so, [M, 3, 64, 64] in [0, 1]."""
    pictures = [made(drawings.rgba(one), one.colour, making) for one in asked if drawings.has(one)]
    return torch.stack([torch.from_numpy(picture) for picture in pictures]) / 2 + 0.5


def energies_row(label: str, pictures: dict[int, Tensor]) -> str:
    """Laplacian energy at each size."""
    energies = {side: float(laplacian_energy(drawn).mean()) for side, drawn in pictures.items()}
    first, last = SIDES[0], SIDES[-1]
    values = " | ".join(f"{energies[side]:.4f}" for side in SIDES)
    return f"| {label} | {values} | {energies[last] / energies[first]:.1f} |"


def moves(pictures: Sequence[Tensor], axis: int) -> str:
    """How far drawings move with what is cut: two cells of a table.

    Args:
        pictures: of each of ``CUTS`` [N, 3, H, W].
        axis: 0 for a cut above, 1 for one on the left.
    """
    places = torch.stack([centroids(drawn)[:, axis] for drawn in pictures], dim=1)
    seen = places[~places.isnan().any(dim=1)]
    slope, correlation = follows(torch.tensor(CUTS, dtype=places.dtype), seen)
    return f"{slope:+.2f} px per px | {correlation:+.2f}"


def sizes_rows(asked: Sequence[Asked], painter: Painter, drawings: Drawings) -> Iterator[str]:
    """The tables of sizes and cuts."""
    wanted = [one.prompt for one in asked]
    yield f"| original size | {' | '.join(f'{side} px' for side in SIDES)} | {SIDES[-1]} : {SIDES[0]} |"
    yield "|---" * (len(SIDES) + 2) + "|"
    at_sides = {side: painter.draw(wanted, Making(side)) for side in tqdm(SIDES, desc="sizes")}
    yield energies_row(NAME, at_sides)
    yield energies_row("real drawings", {side: real(asked, Making(side), drawings) for side in SIDES})
    yield ""
    yield "| | cut on the left: moves by | correlation | cut above: moves by | correlation |"
    yield "|---|---|---|---|---|"
    cuts = [[Making(top=cut) for cut in CUTS], [Making(left=cut) for cut in CUTS]]
    at_cuts = [[painter.draw(wanted, making) for making in tqdm(each, desc="cuts")] for each in cuts]
    true = [[real(asked, making, drawings) for making in each] for each in cuts]
    for label, (above, left) in ((NAME, at_cuts), ("real drawings", true)):
        yield f"| {label} | {moves(left, 1)} | {moves(above, 0)} |"


def draw_grid(painter: Painter) -> None:
    """Draw the picture of the documentation."""
    makings = [*(Making(side) for side in SIDES), *(Making(left=cut) for cut in SHOWN_CUTS)]
    columns = [painter.draw(SHOWN, making) for making in makings]
    grid = torch.cat([torch.cat(list(column), dim=-2) for column in columns], dim=-1)
    picture = Image.fromarray((grid.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy())
    size = (len(columns) * SHOWN_PX, len(SHOWN) * SHOWN_PX)
    picture.resize(size, Image.Resampling.BICUBIC).save(GRID, quality=90, method=6)


def main() -> None:
    """Measure, and write the tables and the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=256, help="pictures that are judged by their names")
    parser.add_argument(
        "--measured", type=int, default=64, help="prompts that are drawn at every size and cut"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    painter, drawings = Painter(), Drawings()
    draw_grid(painter)
    asked = [Asked(name, style) for name, style in prompts(options.prompts, glyphs.learned())]
    few = asked[: options.measured]
    lines = [
        f"{len(few)} prompts of learned names on white at the same seeds, drawn with each size and each cut stated "
        f"({', '.join(map(str, CUTS))} px); mean energy of the Laplacian, and places of the drawings' centroids:",
        "",
        *sizes_rows(few, painter, drawings),
        "",
        f"{len(asked)} pictures of learned names, with no sizes stated, as the [judges](../pocket-judge/README.md) see "
        "them; distance to the real drawing in 1/255:",
        "",
        f"| | {' | '.join(heading for _, heading, _ in FIGURES)} |",
        "|---" * (len(FIGURES) + 1) + "|",
        *names_rows(asked),
    ]
    print("\n".join(lines))
    write_figures(models_folder() / NAME / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
