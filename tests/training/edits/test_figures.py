"""Measures of edits, on pictures whose errors are known."""

import pytest
import torch

from training.edits.figures import frame_error, psnr


def test_the_ratio_counts_only_where_it_is_asked_to() -> None:
    truth = torch.zeros(2, 3, 16, 16)
    made = truth.clone()
    made[0, :, :8] = 0.1  # -20 log10(0.1) = 20 dB there
    upper = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    upper[:, :, :8] = True
    assert psnr(made, truth, upper)[0] == pytest.approx(20, abs=1e-4)
    assert psnr(made, truth)[0] == pytest.approx(20 + 3.0103, abs=1e-3)
    assert psnr(made, truth)[1] == pytest.approx(100)


def test_the_frame_is_judged_by_its_worst_channel_and_not_by_what_touches_it() -> None:
    truth = torch.full((1, 3, 64, 64), 0.5)
    made = truth.clone()
    made[:, 1] += 12 / 255
    made[:, :, 20:30, :10] = 0  # a drawing that reaches the border
    assert frame_error(made, truth)[0] == pytest.approx(12, abs=1e-3)
    truth[:, :, 8:-8, 8:-8] = 1
    assert frame_error(made, truth)[0] == pytest.approx(12, abs=1e-3)
