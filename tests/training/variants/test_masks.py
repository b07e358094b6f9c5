"""Masks for learning to fill holes."""

import numpy as np
import pytest
import torch

from training.variants.masks import KINDS, LATENT_PX, hide, middle, random_mask, to_latents


def _disc() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[:64, :64]
    return np.where((y - 32) ** 2 + (x - 32) ** 2 < 20**2, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_is_never_empty_and_the_same_for_the_same_seed(kind: str) -> None:
    for seed in range(50):
        one, two = (random_mask(kind, _disc(), np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (64, 64)
        assert one.dtype == np.bool_
        assert one.any()
        assert np.array_equal(one, two)


def test_a_rectangle_is_one() -> None:
    for seed in range(50):
        mask = random_mask("rectangle", _disc(), np.random.default_rng(seed))
        assert mask.sum() == mask.any(axis=0).sum() * mask.any(axis=1).sum()
        assert min(mask.any(axis=0).sum(), mask.any(axis=1).sum()) >= 12


def test_a_mask_around_a_glyph_covers_all_of_it_or_nothing() -> None:
    covered = _disc() > 0
    masks = [random_mask("glyph", _disc(), np.random.default_rng(seed)) for seed in range(50)]
    shares = {float(mask[covered].mean()) for mask in masks}
    assert shares == {0.0, 1.0}
    assert all(mask.sum() > covered.sum() for mask in masks if mask[covered].all())


def test_the_complement_of_a_glyph_that_fills_the_picture_would_be_empty_and_is_not_taken() -> None:
    full = np.full((64, 64), 255, dtype=np.uint8)
    assert all(random_mask("glyph", full, np.random.default_rng(seed)).all() for seed in range(20))


def test_a_thin_stroke_is_not_lost_among_latents() -> None:
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[0, 0, 13, 6:46] = True
    cells = to_latents(mask)
    assert cells.shape == (1, 1, 64 // LATENT_PX, 64 // LATENT_PX)
    assert cells[0, 0].nonzero().tolist() == [[3, column] for column in range(1, 12)]


def test_what_is_hidden_is_mid_grey_and_the_rest_as_it_was() -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hidden = hide(picture, middle()[None])
    inside = middle()[0]
    assert inside.sum() == 32 * 32
    assert torch.equal(hidden[..., inside], torch.zeros(1, 3, 32 * 32))
    assert torch.equal(hidden[..., ~inside], picture[..., ~inside])
