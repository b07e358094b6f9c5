"""The problems that an inpainting UNet learns on, made from a handful of glyphs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.variants.inpaint_data import Problems, condition, load_vae
from training.variants.masks import to_latents

NAMES = ["red apple", "fox", "rocket"]
HELD_OUT = "volcano"
BATCH = 64


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Problems:
    """Discs of three colours under names that are learned, and one under a name that is not."""
    work = tmp_path_factory.mktemp("work")
    y, x = np.mgrid[:64, :64]
    disc = (y - 32) ** 2 + (x - 32) ** 2 < 18**2
    colours = [(220, 40, 40), (40, 200, 60), (60, 60, 220), (0, 0, 0)]
    rgba = np.stack([disc[..., None] * np.array([*colour, 255]) for colour in colours]).astype(np.uint8)
    np.save(work / "glyphs.npy", rgba)
    rows = [{"name": name, "style": "noto"} for name in [*NAMES, HELD_OUT]]
    (work / "glyphs.json").write_text(json.dumps(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_WORK", str(work))
        made = Problems(0, [*NAMES, HELD_OUT])
        assert {path.name for path in Path(work).glob("inpaint-*")} == {
            "inpaint-latents.npy",
            "inpaint-hidden.npy",
            "inpaint-masks.npy",
        }
    return made


def test_names_that_are_held_out_are_left_out(problems: Problems) -> None:
    assert {glyph.name for glyph, _ in problems.rows} == set(NAMES)
    assert len(problems.rows) == 3 * (4 + 12)


def test_a_step_is_always_the_same_and_no_other(problems: Problems) -> None:
    one, again, other = (problems.at(step, BATCH) for step in (3, 3, 4))
    assert one.captions == again.captions
    assert torch.equal(one.x0, again.x0)
    assert torch.equal(one.condition, again.condition)
    assert not torch.equal(one.x0, other.x0)


def test_a_quarter_is_all_hole_and_looks_like_nothing(problems: Problems) -> None:
    told = problems.at(0, BATCH).condition
    whole = told[:, 0].flatten(1).all(dim=1)
    assert whole[3::4].all()
    assert len(told[3::4].unique(dim=0)) == 1
    assert whole.float().mean() < 0.4
    assert told[:, 0].flatten(1).any(dim=1).all()


def test_what_is_told_is_the_rest_of_the_very_picture(problems: Problems) -> None:
    batch = problems.at(0, BATCH)
    mask, hidden = batch.condition[:, :1], batch.condition[:, 1:]
    # The autoencoder is not quite local: the cells beside a hole know of it.
    far = torch.nn.functional.max_pool2d(mask, 5, stride=1, padding=2).expand_as(hidden) == 0
    assert far.any()
    own = (hidden - batch.x0).abs()[far].mean()
    others = (hidden - batch.x0.roll(1, dims=0)).abs()[far].mean()
    assert own < 0.25 * others


def test_one_caption_in_ten_is_empty_and_the_others_name_the_picture(problems: Problems) -> None:
    captions = [words for step in range(20) for words in problems.at(step, BATCH).captions]
    empty = sum(not words for words in captions) / len(captions)
    assert 0.07 < empty < 0.13
    assert all(any(name in words for name in NAMES) for words in captions if words)


def test_a_condition_is_the_mask_and_the_picture_with_grey_in_it() -> None:
    vae = load_vae()
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    masks = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    masks[0, :, 10:30, 20:50] = True
    told = condition(vae, pictures, masks)
    assert told.shape == (2, 9, 16, 16)
    assert torch.equal(told[:, :1], to_latents(masks))
    painted = pictures.clone()
    painted[0, :, 10:30, 20:50] = 0.9  # whatever is in the hole, nothing tells of it
    assert torch.equal(condition(vae, painted, masks), told)
