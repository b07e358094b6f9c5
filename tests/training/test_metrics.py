"""The card's figures against cases whose answer is known."""

import pytest
import torch
from torch.nn import functional as F

from training.metrics import frechet_distance, kernel_distance, precision_and_recall, retrieval


def gaussian(count: int, mean: float, std: float, seed: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) * std + mean


def test_the_frechet_distance_of_two_gaussians_is_the_one_of_their_parameters() -> None:
    distance = frechet_distance(gaussian(20000, 0, 1, 0), gaussian(20000, 1, 2, 1))
    assert distance == pytest.approx(4 * (1.0 + (2 - 1) ** 2), rel=0.05)


def test_a_set_has_no_distance_to_itself() -> None:
    x = gaussian(500, 0, 1, 0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_the_kernel_distance_is_zero_on_average_between_sets_of_one_kind() -> None:
    alike = [kernel_distance(gaussian(200, 0, 1, 2 * n), gaussian(200, 0, 1, 2 * n + 1)) for n in range(20)]
    assert sum(alike) / 20 == pytest.approx(0, abs=0.02)
    assert kernel_distance(gaussian(200, 0, 1, 0), gaussian(200, 1, 1, 1)) > 0.5


def test_pictures_that_copy_one_real_one_are_precise_and_recall_little() -> None:
    real = gaussian(300, 0, 1, 0)
    made = real[:1] + 0.001 * gaussian(300, 0, 1, 1)
    precision, recall = precision_and_recall(real, made)
    assert precision == 1
    assert recall < 0.05


def test_pictures_far_from_all_real_ones_are_not_precise() -> None:
    precision, _ = precision_and_recall(gaussian(300, 0, 1, 0), gaussian(300, 50, 1, 1))
    assert precision == 0


def test_retrieval_counts_the_answers_among_the_nearest() -> None:
    pool = torch.eye(4)
    queries = F.normalize(torch.tensor([[1.0, 0.2, 0, 0], [0.9, 1.0, 0, 0], [0, 0, 0.1, 1.0]]), dim=-1)
    answers = torch.tensor([0, 0, 2])
    assert retrieval(queries, pool, answers, 1) == pytest.approx(1 / 3)
    assert retrieval(queries, pool, answers, 2) == 1
