"""The notebook of the documentation runs, and shows what it showed."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from docs.make_tour import TOUR, run_cells
from tests.integration.stack import Stack


def kinds(outputs: list[dict[str, Any]]) -> list[object]:
    """The kind of each output of a cell, and the size of each picture."""
    return [
        (output["output_type"], *(size_of(data["image/png"]) if "image/png" in data else ()))
        for output in outputs
        for data in [output.get("data", {})]
    ]


def size_of(png: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        return image.size


def test_the_tour_runs_and_shows_what_it_showed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LODESTAR_URL", stack.url)
    tour = json.loads(TOUR.read_text(encoding="utf-8"))
    shown = [kinds(cell["outputs"]) for cell in tour["cells"] if cell["cell_type"] == "code"]
    assert sum(len(outputs) for outputs in shown) > 8, "run: python -m docs.make_tour"
    assert [kinds(outputs) for outputs in run_cells(tour)] == shown
