"""A handful of drawings in a work folder, in the layout of the rendered emoji sets."""

from collections.abc import Iterator

import numpy as np
import pytest

from training import glyphs
from training.glyphs import Glyph
from training.judges.asked import Drawings

THINGS = ("fox", "rocket", "castle", "snail", "ghost", "teapot", "cactus", "robot")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawings]:
    """Bars and discs of several colours as the things of ``THINGS``, in the style noto."""
    work = tmp_path_factory.mktemp("work")
    y, x = np.mgrid[:64, :64]
    made = []
    for number in range(len(THINGS)):
        shape = (
            (y // 8 + x // 8 * number) % 3 == 0 if number % 2 else (y - 32) ** 2 + (x - 8 * number) ** 2 < 300
        )
        colour = np.array([30 * number, 255 - 30 * number, 60 * (number % 4), 255])
        made.append((shape[..., None] * colour).astype(np.uint8))
    glyphs.save(work, made, [Glyph(name, "noto") for name in THINGS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_WORK", str(work))
        yield Drawings()
