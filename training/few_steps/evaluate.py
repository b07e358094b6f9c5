"""Measure few steps: ``python -m training.few_steps.evaluate [--prompts 64]`` writes the table of the adapter's card.

The same prompts at the same seeds, as the service draws them, with and without the adapter. Judges that agree for
different reasons look at the pictures (``training/judges/panel.py``).
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

from training import glyphs
from training.adapters.judge import Artist
from training.cards import write_figures
from training.evaluate import figures_row, prompts
from training.few_steps.learn import FEW_STEPS, NAME, TEACHER_STEPS
from training.judges.asked import Asked
from training.judges.clips import POOL
from training.judges.panel import FIGURES, Opinion, Panel, change
from training.settings import models_folder

GUIDED = 2.0  # cfg_scale of the runs that few steps are compared with
OURS: dict[str, Any] = {"adapters": [{"name": NAME}], "sampler": "lcm"}


@dataclass(frozen=True)
class Way:
    """How to draw.

    Attributes:
        label: for the table.
        steps: of each picture.
        cfg_scale: 1 is without guidance.
        fields: others of each request.
    """

    label: str
    steps: int
    cfg_scale: float
    fields: dict[str, Any]

    @property
    def rows(self) -> int:
        """Rows that the denoiser computes for a picture."""
        return self.steps * (1 if self.cfg_scale == 1 else 2)


MANY = Way("`ddim`", TEACHER_STEPS, GUIDED, {"sampler": "ddim"})
FEW = Way("**the adapter**, `lcm`", FEW_STEPS, 1.0, OURS)
WAYS = (
    MANY,
    Way("`ddim`", FEW_STEPS, GUIDED, {"sampler": "ddim"}),
    Way("`lcm`", FEW_STEPS, GUIDED, {"sampler": "lcm"}),
    *(Way("`lcm`", steps, 1.0, {"sampler": "lcm"}) for steps in (FEW_STEPS, 2, 1)),
    Way("the adapter, `lcm`", 8, 1.0, OURS),
    FEW,
    *(Way("the adapter, `lcm`", steps, 1.0, OURS) for steps in (2, 1)),
)


def measured(asked: list[Asked]) -> list[str]:
    """The lines of the table, and those that compare the adapter's pictures with those of many steps."""
    artist, panel, opinions, lines = Artist(), Panel(), list[Opinion](), list[str]()
    for way in WAYS:
        began = time.process_time()
        pictures = artist.draw(
            [one.prompt for one in asked], steps=way.steps, cfg_scale=way.cfg_scale, **way.fields
        )
        seconds = (time.process_time() - began) / len(asked)
        opinions.append(panel.see(pictures, asked))
        label = f"{way.label} | {way.steps} | {way.cfg_scale:g} | {way.rows} | {seconds:.2f}"
        lines.append(figures_row(label, opinions[-1]))
        print(lines[-1], flush=True)
    many, few = (opinions[WAYS.index(way)] for way in (MANY, FEW))
    told = (change(many, few, field).text for field, *_ in FIGURES)
    drawings, of = panel.ceiling(asked)
    return [
        *lines,
        f"| the adapter in {FEW.steps} steps beside `ddim` in {MANY.steps} | | | | | {' | '.join(told)} |",
        figures_row(f"real drawings ({len(of)}) | | | |", panel.see(drawings, of)),
    ]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    options = parser.parse_args()
    asked = [Asked(name, style) for name, style in prompts(options.prompts, glyphs.learned())]
    lines = [
        f"{options.prompts} pictures, the same prompts and seeds in each line. *Rows* are those that the denoiser "
        "computes for a picture, *seconds* those of the processor, decoding and score included. The other columns are "
        f"of the [judges](../../pocket-judge/README.md): retrieval among {POOL} names of the same style, distance to "
        "the real drawing in 1/255:",
        "",
        f"| | steps | `cfg_scale` | rows | seconds | {' | '.join(heading for _, heading, _ in FIGURES)} |",
        "|---" * (len(FIGURES) + 5) + "|",
        *measured(asked),
    ]
    write_figures(models_folder() / "adapters" / NAME / "README.md", "\n".join(lines))


if __name__ == "__main__":
    main()
