"""Draw each preset's gain against its cost: ``python -m docs.make_tradeoff --costs FILE FILE ...``.

The costs are those of ``python -m benchmarks.guidance_speed --json FILE``, one run for all presets. The other files are
those of ``python -m benchmarks.guidance_quality --json FILE``, all of the same prompts; if a preset is in several,
the last counts. Writes ``docs/images/tradeoff.svg``; matplotlib comes with the extra ``training``.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib import pyplot, ticker

IMAGES = Path(__file__).parent / "images"
INK, DIM, MARK = "#24292f", "#8c959f", "#0969da"
BELOW = {"SLOWER", "FAST_GREEN", "tfg"}  # labels that would lie on another's


def draw(rows: list[dict[str, Any]], costs: dict[str, float], file: Path) -> None:
    """One point with its standard error for each preset, costs on a logarithmic axis."""
    pyplot.rcParams |= {"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "tradeoff"}
    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    for row in rows:
        gain, error = row["changes"]["similarity"]
        at = costs[row["preset"]], gain
        axes.errorbar(*at, error, fmt="o", color=MARK, ecolor=DIM, capsize=2)
        side, align = (-1, "top") if row["preset"] in BELOW else (1, "bottom")
        axes.annotate(
            row["preset"], at, (6, 6 * side), textcoords="offset points", va=align, color=INK, size=9
        )
    axes.axhline(0, color=DIM, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g ×"))
    axes.set_xlabel("time of a step, in units of an unguided one")
    axes.set_ylabel("gain of the evaluator's similarity")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Read the figures, leave out the unguided row, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--costs", type=Path, required=True, help="written by benchmarks.guidance_speed")
    parser.add_argument("files", type=Path, nargs="+", help="written by benchmarks.guidance_quality")
    options = parser.parse_args()
    rows = {row["preset"]: row for file in options.files for row in json.loads(file.read_text())}
    costs = {cost["name"]: cost["times"] for cost in json.loads(options.costs.read_text())}
    draw([row for name, row in rows.items() if name != "unguided"], costs, IMAGES / "tradeoff.svg")


if __name__ == "__main__":
    main()
