"""Measure pocket-pixels on prompts that nothing was chosen by, and draw some of them.

``python -m training.pixels.evaluate [--prompts 48] [--best N]`` prints a table and puts it between the marks of
``models/pocket-pixels/README.md``: unguided and steered by CLIP alone, beside real drawings and beside a mush of
colours that CLIP made with no model at all; and for N of the prompts the best of 16 by a scorer that did not steer,
which takes as long as 16 N pictures do.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import save_image

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import best
from jobs.resolve.request import resolve
from training import glyphs
from training.captions import COLOURS
from training.cards import write_figures
from training.judges.asked import Asked
from training.judges.panel import FIGURES, Panel, mean
from training.pixels.learn import NAME, STYLE
from training.settings import models_folder, work_folder
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

SEED = 41
CANDIDATES, SCORER = 16, "pocket-s"
NEAR = 40.0  # of 255: as far as a background may be off
BORDER = 3
SHOWN = 12  # pairs in a row of the grid


def fresh(count: int) -> list[Asked]:
    """Learned names on white and on other colours by turns."""
    rng = np.random.default_rng(SEED)
    names, colours = rng.permutation(glyphs.learned())[:count], list(COLOURS)
    return [
        Asked(str(name), STYLE, "white" if number % 2 == 0 else colours[int(rng.integers(1, len(colours)))])
        for number, name in enumerate(names)
    ]


def drawn(
    asked: Sequence[Asked], runner: Runner, catalog: Catalog, seeds: Sequence[int], **fields: Any
) -> Tensor:
    """A picture of each, [N, 3, 64, 64] in [0, 1]; the best one where the request selects."""
    requests = [
        resolve(GenerateRequest(model=NAME, prompt=one.prompt, seed=seed, **fields), catalog)
        for one, seed in zip(asked, seeds, strict=False)
    ]
    kept = []
    for request, made in zip(requests, generate_all(requests, runner), strict=True):
        number = 0 if request.select is None else best(made, request.select.by, 1)[0]
        kept.append(made[number].pixels)
    return torch.stack(kept)


def right_backgrounds(pictures: Tensor, asked: Sequence[Asked]) -> float:
    """Share of pictures whose border is, in the median, within 40/255 of the colour that was asked for."""
    edges = torch.cat(
        [
            pictures[:, :, :BORDER].flatten(2),
            pictures[:, :, -BORDER:].flatten(2),
            pictures[..., :BORDER].flatten(2),
            pictures[..., -BORDER:].flatten(2),
        ],
        dim=2,
    )
    wanted = torch.tensor([COLOURS[one.colour] for one in asked]).float()
    off = (255 * edges.median(dim=2).values - wanted).abs().mean(dim=1)
    return float((off < NEAR).float().mean())


def row(label: str, panel: Panel, pictures: Tensor, asked: Sequence[Asked]) -> str:
    """A line of the table."""
    opinion = panel.see(pictures, asked)
    shown = [f"{mean(opinion, field):.3f}" for field, *_ in FIGURES]
    return f"| {label} | {len(asked)} | {right_backgrounds(pictures, asked):.0%} | {' | '.join(shown)} |"


def main() -> None:
    """Measure, write the table and the grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--best", type=int, default=0, help="prompts of which the best of 16 is drawn too")
    parser.add_argument("--grid", type=Path, default=work_folder() / f"{NAME}-grid.png")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    catalog = load_catalog(models_folder().parent / "models.toml")
    runner = Runner(ModelRegistry(catalog, Device(WorkerSettings())))
    panel, asked = Panel(), fresh(options.prompts)
    seeds = [100 * number for number in range(len(asked))]
    unguided = drawn(asked, runner, catalog, seeds, guidance={"scale": 0})
    steered = drawn(asked, runner, catalog, seeds)
    real, with_drawing = panel.ceiling(asked)
    lines = [
        f"| | pictures | background | {' | '.join(heading for _, heading, _ in FIGURES)} |",
        "|---" * (len(FIGURES) + 3) + "|",
        row("unguided", panel, unguided, asked),
        row("steered by CLIP alone", panel, steered, asked),
        row("8 x 8 px by CLIP, without a model", panel, panel.floor(asked), asked),
        row("real drawings", panel, real, with_drawing),
    ]
    if options.best:
        few = asked[: options.best]
        choose = {"candidates": CANDIDATES, "keep": 1, "scorer": SCORER}
        chosen = drawn(few, runner, catalog, seeds, select=choose)
        lines += [
            row(f"steered, the first {len(few)}", panel, steered[: len(few)], few),
            row(f"the best of {CANDIDATES} of these by {SCORER}", panel, chosen, few),
        ]
    table = "\n".join(lines)
    print(table)
    write_figures(models_folder() / NAME / "README.md", table)
    pairs = [pictures[start : start + SHOWN] for start in (0, SHOWN) for pictures in (unguided, steered)]
    save_image(torch.cat(pairs), options.grid, nrow=SHOWN)


if __name__ == "__main__":
    main()
