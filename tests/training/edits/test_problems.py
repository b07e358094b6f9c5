"""The pairs that an editing UNet learns on, made from a handful of glyphs."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from training.captions import COLOURS
from training.edits.problems import LATENTS, VARIANTS, Problems, drawable
from training.glyphs import STYLES

NAMES = ["red apple", "fox"]
HELD_OUT = "volcano"
BATCH = 64


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Problems:
    """Discs: of each name in two styles, and one under a name that no stage sees."""
    work = tmp_path_factory.mktemp("work")
    y, x = np.mgrid[:64, :64]
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 18**2
    rows = [{"name": name, "style": style} for name in NAMES for style in STYLES[:2]]
    rows.append({"name": HELD_OUT, "style": "noto"})
    colours = [(220, 40, 40), (40, 200, 60), (60, 60, 220), (200, 200, 40), (0, 0, 0)]
    rgba = np.stack([disc[..., None] * np.array([*colour, 255]) for colour in colours]).astype(np.uint8)
    np.save(work / "glyphs.npy", rgba)
    (work / "glyphs.json").write_text(json.dumps(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_WORK", str(work))
        assert drawable() == set(NAMES)
        made = Problems(0, drawable())
        again = Problems(0, drawable())  # reads what the first has written
    assert (work / LATENTS).exists()
    assert torch.equal(made.at(1, 4).x0, again.at(1, 4).x0)
    return made


def test_every_drawing_has_white_five_colours_and_one_without_a_name(problems: Problems) -> None:
    assert len(problems.rows) == 4 * VARIANTS
    for start in range(0, len(problems.rows), VARIANTS):
        first, *named, last = problems.rows[start : start + VARIANTS]
        assert (first.colour, last.colour) == ("white", None)
        assert len({row.colour for row in named}) == 5
        assert all(row.rgb == COLOURS[row.colour] for row in named if row.colour)


def test_a_step_is_always_the_same_and_no_other(problems: Problems) -> None:
    one, again, other = (problems.at(step, BATCH) for step in (3, 3, 4))
    assert one.texts == again.texts
    assert torch.equal(one.x0, again.x0)
    assert torch.equal(one.before, again.before)
    assert not torch.equal(one.x0, other.x0)


def test_an_instruction_is_true_of_its_pair(problems: Problems) -> None:
    rng, seen = np.random.default_rng(0), Counter[str]()
    for _ in range(400):
        before, after, text = problems._pair(rng)
        rows = problems.rows[before], problems.rows[after]
        one, other = (problems.glyphs[row.glyph] for row in rows)
        assert one.name == other.name
        if "background" in text:
            assert rows[1].colour is not None
            assert f"{rows[1].colour} background" in text or text.endswith(f"background {rows[1].colour}")
        else:
            assert rows[0].rgb == rows[1].rgb
            assert other.style in text
        if one.style != other.style:
            assert other.style in text
        seen["same" if before == after else "style" if one.style != other.style else "background"] += 1
    assert seen["background"] > seen["style"] > seen["same"] > 20


def test_a_tenth_is_told_no_picture_and_a_tenth_no_instruction(problems: Problems) -> None:
    batches = [problems.at(step, BATCH) for step in range(20)]
    blind = torch.cat([batch.before.flatten(1).abs().amax(dim=1) == 0 for batch in batches])
    silent = torch.tensor([not text for batch in batches for text in batch.texts])
    for share in (blind, silent):
        assert 0.07 < share.float().mean() < 0.13
    assert 0.03 < (blind & silent).float().mean() < 0.07
