"""A ladder of difficulty: what guidance gains where the model knows less, by judges that agree for different reasons.

``python -m benchmarks.ladder [--quick] [--rungs NAME ...] [--settings NAME ...] [--request JSON ...] [--prompts N]
[--json FILE] [--pictures FOLDER]``. All settings draw the same prompts from the same seeds. A gain counts where a judge
that shares nothing with the guides sees it, by more than two standard errors (``training/judges/panel.py``). Real
drawings are the ceiling: a picture that scores more than they do flatters. It needs the drawings (``python -m
training.glyphs``).
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.utils import save_image

from benchmarks.ladder.rungs import Ladder, Question, Rung
from benchmarks.ladder.settings import SETTINGS, Setting
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import best
from jobs.resolve.request import resolve
from training.judges.panel import FIGURES, Opinion, Panel, changes, counts, means
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

OF_THE_WHOLE = ("distance", "drawing_top_5")  # figures that compare with one drawing


@dataclass(frozen=True)
class Row:
    """One setting on one rung.

    Attributes:
        rung: key of the rung.
        setting: its name.
        pictures: that were judged.
        seconds: for a picture.
        means: of every figure.
        changes: against unguided pictures: mean and standard error of every figure; empty for those.
        counts: the independent figures that became better beyond doubt.
    """

    rung: str
    setting: str
    pictures: int
    seconds: float
    means: dict[str, float]
    changes: dict[str, tuple[float, float]]
    counts: list[str]


def drawn(questions: Sequence[Question], setting: Setting, models: ModelRegistry, label: str) -> Tensor:
    """The picture of each question, [N, 3, 64, 64] in [0, 1]; the same seeds for every setting."""
    requests = [
        resolve(
            GenerateRequest.model_validate({"seed": 1000 * seed, **setting.request(one)}),
            models.catalog,
        )
        for seed, one in enumerate(questions)
    ]
    made = generate_all(requests, Runner(models))
    kept = []
    for request, pictures in track(
        zip(requests, made, strict=True), label, len(requests), console=Console(stderr=True)
    ):
        number = 0 if request.select is None else best(pictures, request.select.by, 1)[0]
        kept.append(pictures[number].pixels)
    return torch.stack(kept)


def judged(panel: Panel, pictures: Tensor, questions: Sequence[Question], rung: Rung) -> Opinion:
    """The opinion on pictures of several things: the mean over the things, and none of the drawing of one."""
    most = max(len(question.things) for question in questions)
    each = [
        panel.see(pictures, [question.things[number % len(question.things)] for question in questions])
        for number in range(most)
    ]
    means = {
        field.name: torch.stack([getattr(opinion, field.name) for opinion in each]).mean(dim=0)
        for field in fields(Opinion)
    }
    opinion = Opinion(**means)
    if rung.has_drawings:
        return opinion
    unknown = {name: torch.full_like(opinion.distance, float("nan")) for name in OF_THE_WHOLE}
    return replace(opinion, **unknown)


def row_of(rung: Rung, setting: str, opinion: Opinion, plain: Opinion | None, seconds: float) -> Row:
    """A row of the table."""
    return Row(
        rung.key,
        setting,
        len(opinion.similarity),
        seconds,
        means(opinion),
        {} if plain is None else changes(plain, opinion),
        [] if plain is None else counts(plain, opinion),
    )


def table_of(rung: Rung, rows: Sequence[Row]) -> Table:
    """All settings of one rung."""
    table = Table("", *(heading for _, heading, _ in FIGURES), "s", "counts", title=rung.title)
    for row in rows:
        cells = []
        for field, _, _ in FIGURES:
            found = row.changes.get(field)
            cells.append(f"{row.means[field]:.3f}" if found is None else f"{found[0]:+.3f} ± {found[1]:.3f}")
        table.add_row(row.setting, *cells, f"{row.seconds:.2f}", ", ".join(row.counts))
    return table


def climb(
    rung: Rung,
    settings: dict[str, Setting],
    ladder: Ladder,
    panel: Panel,
    models: ModelRegistry,
    folder: Path | None,
) -> list[Row]:
    """Every setting on one rung: unguided first, then the real drawings and the mush as its bounds."""
    rows: list[Row] = []
    plain: Opinion | None = None
    for name, setting in {"unguided": Setting(), **settings}.items():
        started = time.perf_counter()
        pictures = drawn(rung.questions, setting, models, f"{rung.key}: {name}")
        seconds = (time.perf_counter() - started) / len(pictures)
        if folder is not None:
            save_image(pictures, folder / f"{rung.key} {name}.png", nrow=8)
        opinion = judged(panel, pictures, rung.questions, rung)
        rows.append(row_of(rung, name, opinion, plain, seconds))
        plain = plain or opinion
    real, questions = ladder.ceiling(rung)
    rows.append(
        row_of(rung, f"real drawings ({len(questions)})", judged(panel, real, questions, rung), None, 0)
    )
    things = [question.things[0] for question in rung.questions]
    rows.append(
        row_of(
            rung, "8 x 8 px by CLIP alone", judged(panel, panel.floor(things), rung.questions, rung), None, 0
        )
    )
    return rows


def main() -> None:
    """Climb, print a table of each rung, and write JSON and pictures if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    rungs = ("known", "odd", "two", "kin", "unlearned")
    parser.add_argument("--quick", action="store_true", help="4 prompts, two rungs, two settings")
    parser.add_argument("--rungs", nargs="+", choices=rungs, default=rungs)
    parser.add_argument(
        "--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS), help="none: only --request"
    )
    parser.add_argument(
        "--request",
        nargs="+",
        type=json.loads,
        default=[],
        help="settings of your own, as fields of requests",
    )
    parser.add_argument("--prompts", type=int, default=64, help="of each rung, at most")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--pictures", type=Path, help="write all pictures to this folder")
    options = parser.parse_args()
    if options.quick:
        options.rungs, options.settings, options.prompts = ["known", "two"], ["fast"], 4
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    settings = {name: SETTINGS[name] for name in options.settings}
    settings |= {json.dumps(fields): Setting.of_request(fields) for fields in options.request}
    panel = Panel()
    ladder = Ladder(panel.drawings, options.prompts)
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    rows: list[Row] = []
    for key in options.rungs:
        rung = ladder.makers[key]()
        found = climb(rung, settings, ladder, panel, models, options.pictures)
        rows += found
        Console(width=max(Console().width, 160)).print(table_of(rung, found))
        if options.json:  # after each, since all may take hours
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
