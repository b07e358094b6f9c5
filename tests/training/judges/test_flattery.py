"""Pictures that flatter a CLIP, and what purification leaves of them."""

import pytest
import torch

from training.judges.asked import Asked
from training.judges.attacks import attacked, mush
from training.judges.clips import blur, embed, jpeg, load_named, noise, purifiers
from training.judges.spoiling import coarse, recoloured, spoil
from worker.models.clip import ClipModel

PROMPTS = [Asked(name, "noto").prompt for name in ("fox", "rocket", "castle", "snail")]


@pytest.fixture(scope="module")
def guide() -> ClipModel:
    return load_named("pocket-s")


@pytest.fixture(scope="module")
def targets(guide: ClipModel) -> torch.Tensor:
    return guide.embed_texts(PROMPTS)


def _agreement(guide: ClipModel, pictures: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (embed(guide, pictures / 2 + 0.5) * targets).sum(dim=1)


def _smooth(seed: int) -> torch.Tensor:
    return coarse(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6)


@pytest.mark.parametrize("px", [64, 16])
def test_an_attack_raises_the_agreement_within_its_reach(
    guide: ClipModel, targets: torch.Tensor, px: int
) -> None:
    pictures, reach = _smooth(0), torch.tensor([0.02, 0.05, 0.1, 0.2])
    changed = attacked(pictures, targets, guide, reach, px)
    moved = (changed - pictures).abs().amax(dim=(1, 2, 3))
    assert (moved <= reach + 1e-6).all()
    assert (moved > reach / 3).all()
    gains = _agreement(guide, changed, targets) - _agreement(guide, pictures, targets)
    assert (gains > 0).all()
    assert gains[3] > gains[0]


def test_a_mush_of_colours_agrees_with_a_text_and_has_8_by_8_px(
    guide: ClipModel, targets: torch.Tensor
) -> None:
    made = mush([(guide, targets)], 30, torch.Generator().manual_seed(0))
    assert made.shape == (4, 3, 64, 64)
    assert made.abs().max() <= 1
    assert (_agreement(guide, made, targets) > _agreement(guide, _smooth(1), targets) + 0.2).all()
    assert (coarse(made) - made).abs().mean() < 0.2 * made.std()


def test_purification_takes_back_a_part_of_an_attack(guide: ClipModel, targets: torch.Tensor) -> None:
    pictures = _smooth(0)
    changed = attacked(pictures, targets, guide, torch.full((4,), 0.12), 64, steps=4)
    gain = (_agreement(guide, changed, targets) - _agreement(guide, pictures, targets)).mean()
    for purify in purifiers():
        before, after = (purify(both / 2 + 0.5) * 2 - 1 for both in (pictures, changed))
        left = (_agreement(guide, after, targets) - _agreement(guide, before, targets)).mean()
        assert left < gain, purify


@pytest.mark.parametrize("purify", [blur, jpeg, noise])
def test_purification_keeps_what_an_eye_sees(purify: object) -> None:
    assert callable(purify)
    picture = torch.full((2, 3, 64, 64), 0.3)
    picture[:, 0, 16:48, 16:48] = 0.8
    kept = purify(picture)
    assert kept.shape == picture.shape
    assert (kept - picture).abs().mean() < 0.06
    assert (kept != picture).any()


def test_colours_turn_about_grey_which_stays_grey() -> None:
    grey = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    turned = recoloured(grey, torch.Generator().manual_seed(1))
    assert (turned - turned.mean(dim=1, keepdim=True)).abs().max() < 1e-5
    red = torch.zeros(64, 3, 8, 8)
    red[:, 0] = 1
    changed = recoloured(red, torch.Generator().manual_seed(2))
    assert (changed.argmax(dim=1).flatten(1)[:, 0] == 0).double().mean() > 0.5
    assert changed.flatten(1).unique(dim=0).shape[0] == 64


def test_each_picture_is_spoilt_in_its_own_way_and_again_the_same() -> None:
    pictures = _smooth(3)[:1].expand(8, -1, -1, -1)
    first, second = (spoil(pictures, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.flatten(1).unique(dim=0).shape[0] == 8
