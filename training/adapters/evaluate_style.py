"""Measure style adapters on names whose drawings they have not seen, and write the tables of their cards.

``python -m training.adapters.evaluate_style [ink ...]`` draws with the adapters of the catalog. The judge is
pocket-eval. A style is told by the nearest of the true drawings of the same thing in all styles, and picked by the
nearest of eight centroids, each the mean of the true drawings of names that are not held out.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
import torch
from torch import Tensor

from jobs.catalog.catalog import load_catalog
from training import glyphs
from training.adapters.figures import between, centroids, margin, picked, saturation, told
from training.adapters.judge import Artist, Judge
from training.adapters.styles import STYLES, drawings, is_held_out
from training.captions import compose
from training.cards import write_figures
from training.metrics import retrieval
from training.settings import models_folder, work_folder
from training.variants.inpaint_data import encode, load_vae

ORDER = (*glyphs.STYLES, *STYLES)
PICTURES = 24  # at least, for each row of a table
WEIGHTS = (0.25, 0.5, 0.75)
MIXED = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.0, 1.0))
HEADING = [
    "| | style told | style picked | style margin | name, top 1 | top 5 | drawing, top 1 | top 5 | saturation |",
    "|---|---|---|---|---|---|---|---|---|",
]
MIXED_HEADING = [
    "Without trigger words, from the first style's centroid (0) to the second's (1):",
    "",
    "| weights | position |",
    "|---|---|",
]


def shipped() -> list[str]:
    """The styles that the catalog has an adapter of."""
    adapters = {card.id for card in load_catalog(models_folder().parent / "models.toml").adapters}
    return [style for style in STYLES if style in adapters]


def real(wanted: bool) -> dict[str, dict[str, Tensor]]:
    """True drawings [3, 64, 64] in [0, 1] on white, by style and name; of held-out names or of the others."""
    shown: dict[str, dict[str, Tensor]] = {style: {} for style in ORDER}
    learned = set(glyphs.learned())
    for rgba, row in zip(*glyphs.load(work_folder()), strict=True):
        if row.name in learned and is_held_out(row.name) == wanted:
            shown[row.style][row.name] = _on_white(rgba)
    for style in STYLES:
        for name, rgba in drawings(style).items():
            if is_held_out(name) == wanted:
                shown[style][name] = _on_white(rgba)
    return shown


def _on_white(rgba: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(compose(rgba, "white")) / 2 + 0.5


@torch.no_grad()
def decoded(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, 64, 64] in [0, 1] through pocket's autoencoder: the best that any denoiser can draw."""
    vae = load_vae()
    made: Tensor = vae.decode(encode(vae, pictures * 2 - 1) / vae.config.scaling_factor).sample
    return (made / 2 + 0.5).clamp(0, 1)


class Styles:
    """Measures pictures against the centroids of all styles."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        known, held_out = real(wanted=False), real(wanted=True)
        seen = [(style, picture) for style, its in known.items() for picture in its.values()]
        features = judge.see(torch.stack([picture for _, picture in seen]))
        self.centres = centroids(features, [style for style, _ in seen], ORDER)
        # Of each style, the embeddings [D] of its drawings by their names, held out or not.
        self._drawings = {style: self._seen(known[style] | held_out[style]) for style in ORDER}

    def _seen(self, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip(pictures, self._judge.see(torch.stack(list(pictures.values()))), strict=True))

    def _told(self, features: Tensor, names: Sequence[str], style: str) -> float:
        of_names = [
            {other: its[name] for other, its in self._drawings.items() if name in its} for name in names
        ]
        drawings = [torch.stack(list(its.values())) for its in of_names]
        return told(features, drawings, [list(its).index(style) for its in of_names])

    def see(self, pictures: Tensor) -> Tensor:
        """Unit vectors [N, D] of pictures [N, 3, 64, 64] in [0, 1]."""
        return self._judge.see(pictures)

    def row(self, label: str, pictures: Tensor, names: Sequence[str], style: str) -> str:
        """A line of the table."""
        features, own = self._judge.see(pictures), ORDER.index(style)
        known, drawings = list(self._drawings[style]), torch.stack(list(self._drawings[style].values()))
        answers = torch.tensor([known.index(name) for name in names])
        figures = [
            self._told(features, names, style),
            picked(features, self.centres, own),
            *self._judge.names(features, names),
            *(retrieval(features, drawings, answers, top) for top in (1, 5)),
        ]
        shares = [f"{figure:.1%}" for figure in figures]
        shares.insert(2, f"{margin(features, self.centres, own):.3f}")
        line = f"| {label} | {' | '.join(shares)} | {saturation(pictures):.3f} |"
        print(line, flush=True)
        return line


def measure(style: str, weights: Sequence[float], judge: Styles, artist: Artist) -> list[str]:
    """The table of a style, at these weights and at 0 and 1."""
    print(f"\n{style}")
    truth = real(wanted=True)[style]
    names = list(truth)
    asked, shown = names * ceil(PICTURES / len(names)), torch.stack(list(truth.values()))
    prompts = [f"{STYLES[style].trigger} {name}" for name in asked]

    def at(weight: float) -> Tensor:
        return artist.draw(prompts, adapters=[{"name": style, "weight": weight}])

    without = artist.draw(asked, adapters=[{"name": style, "weight": 1.0}])
    rows = [
        judge.row("true drawings", shown, names, style),
        judge.row("true drawings through the autoencoder", decoded(shown), names, style),
        judge.row("pocket, no style named", artist.draw(asked), asked, style),
        *(judge.row(f"weight {weight:g}", at(weight), asked, style) for weight in (0.0, *weights, 1.0)),
        judge.row("weight 1, without the trigger word", without, asked, style),
    ]
    return [
        f"{len(prompts)} pictures of {len(names)} names whose {style} drawings it has not seen:",
        "",
        *HEADING,
        *rows,
    ]


def mixture(first: str, second: str, judge: Styles, artist: Artist) -> list[str]:
    """Lines of a table: where pictures of two styles at once lie between the centroids of both."""
    truth = real(wanted=True)
    names = [name for name in truth[first] if name in truth[second]]
    ends = judge.centres[ORDER.index(first)], judge.centres[ORDER.index(second)]
    lines = []
    for weights in MIXED:
        told = [
            {"name": style, "weight": weight}
            for style, weight in zip((first, second), weights, strict=True)
            if weight
        ]
        features = judge.see(artist.draw(names, adapters=told))
        said = (
            " + ".join(f"{its['weight']:g} {its['name']}" for its in told) or f"pocket ({first} to {second})"
        )
        lines.append(f"| {said} | {between(features, *ends):.2f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles", nargs="*", choices=shipped(), default=shipped())
    parser.add_argument(
        "--mixtures", action="store_true", help="measure neighbours of the list at once, and no more"
    )
    parser.add_argument("--weights", type=float, nargs="*", default=WEIGHTS, help="between 0 and 1")
    parser.add_argument("--steps", type=int, default=25, help="of each picture")
    options = parser.parse_args()
    if options.mixtures and len(options.styles) < 2:
        parser.error("--mixtures needs two styles of the catalog")
    judge, artist = Styles(Judge()), Artist(steps=options.steps)
    folder = models_folder() / "adapters"
    if options.mixtures:
        lines = [line for pair in pairwise(options.styles) for line in mixture(*pair, judge, artist)]
        write_figures(folder / "README.md", "\n".join([*MIXED_HEADING, *lines]))
        return
    for style in options.styles:
        write_figures(folder / style / "README.md", "\n".join(measure(style, options.weights, judge, artist)))


if __name__ == "__main__":
    main()
