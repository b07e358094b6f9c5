"""Run the tour: ``python -m docs.make_tour`` starts a service and writes what the cells of ``docs/tour.ipynb`` show."""

import ast
import base64
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from app.stack.preflight import free_port
from app.stack.stack import StackOptions, running_stack

ROOT = Path(__file__).parent.parent
TOUR = ROOT / "docs" / "tour.ipynb"


def run_cells(tour: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Run a notebook's code in this process, one cell after the other; the outputs of each, as a notebook has them.

    A cell is plain Python: what it prints, and what its last line is, are its outputs.
    """
    names: dict[str, Any] = {}
    codes = [cell for cell in tour["cells"] if cell["cell_type"] == "code"]
    return [_run("".join(cell["source"]), names, place) for place, cell in enumerate(codes, 1)]


def _run(source: str, names: dict[str, Any], place: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {place}", "exec"), names)  # noqa: S102 -- the project's own notebook
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {place}", "eval"), names)  # noqa: S307
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)})
    if value is not None:
        shown = {
            "output_type": "execute_result",
            "execution_count": place,
            "metadata": {},
            "data": _shown(value),
        }
        outputs.append(shown)
    return outputs


def _shown(value: object) -> dict[str, Any]:
    if callable(png := getattr(value, "_repr_png_", None)):
        return {"image/png": base64.b64encode(png()).decode(), "text/plain": ["<a picture>"]}
    return {"text/plain": repr(value).splitlines(keepends=True)}


def main() -> None:
    """Run it and write it."""
    tour = json.loads(TOUR.read_text(encoding="utf-8"))
    host = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        options = StackOptions(host, free_port(host), Path(folder), ROOT / "models.toml")
        with running_stack(options, say=print):
            os.environ["LODESTAR_URL"] = options.url
            outputs = run_cells(tour)
    codes = [cell for cell in tour["cells"] if cell["cell_type"] == "code"]
    for place, (cell, found) in enumerate(zip(codes, outputs, strict=True), 1):
        cell["execution_count"], cell["outputs"] = place, found
    TOUR.write_text(json.dumps(tour, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
