"""The number of cutouts at a time, measured."""

import pytest
import torch

from worker.models.clip import ClipModel
from worker.models.cutout_batches import SIZES, CutoutBatches, busy_batch
from worker.models.registry import ModelRegistry


@pytest.mark.parametrize(
    ("busy_at", "expected"), [(1, 4), (8, 8), (32, 32), (1000, 64)], ids=["small", "medium", "large", "huge"]
)
def test_it_is_the_size_that_keeps_the_device_busy(busy_at: int, expected: int) -> None:
    """A device that takes as long for fewer, and in proportion for more."""
    assert busy_batch(lambda size: max(size, busy_at) / 100, SIZES) == expected


def test_a_size_that_does_not_fit_the_memory_is_not_taken() -> None:
    def seconds(size: int) -> float:
        if size > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0

    assert busy_batch(seconds, SIZES) == 16


def test_a_clip_is_measured_with_its_gradient_and_only_once(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, real, seen = models.clip("pocket-s"), ClipModel.embed, []

    def watched(self: ClipModel, pictures: torch.Tensor) -> torch.Tensor:
        seen.append((len(pictures), pictures.requires_grad))
        return real(self, pictures)

    monkeypatch.setattr(ClipModel, "embed", watched)
    batches = CutoutBatches()
    found = batches.of("pocket-s", clip)
    assert found in SIZES
    assert seen[0] == (SIZES[0], True)
    calls = len(seen)
    assert batches.of("pocket-s", clip) == found
    assert len(seen) == calls
