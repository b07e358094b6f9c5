"""The figure of edges on maps whose answer is known."""

import pytest
import torch

from training.variants.edge_figures import edge_f1


def _line(column: int, length: int = 16) -> torch.Tensor:
    edges = torch.zeros(1, 16, 16, dtype=torch.bool)
    edges[:, :length, column] = True
    return edges


@pytest.mark.parametrize(("column", "expected"), [(5, 1.0), (7, 1.0), (8, 0.0), (3, 1.0), (2, 0.0)])
def test_a_line_is_right_up_to_two_pixels_beside_its_place(column: int, expected: float) -> None:
    assert edge_f1(_line(column), _line(5)) == pytest.approx(expected)


@pytest.mark.parametrize(("column", "expected"), [(6, 1.0), (7, 0.0)])
def test_the_tolerance_can_be_less(column: int, expected: float) -> None:
    assert edge_f1(_line(column), _line(5), tolerance_px=1) == pytest.approx(expected)


def test_a_line_too_much_costs_precision_and_a_line_too_few_recall_alike() -> None:
    both = _line(2) | _line(12)
    assert edge_f1(both, _line(2)) == pytest.approx(2 / 3)
    assert edge_f1(_line(2), both) == pytest.approx(2 / 3)


def test_no_edges_are_wrong_unless_none_are_wanted() -> None:
    none = torch.zeros_like(_line(2))
    assert edge_f1(none, _line(2)) == 0
    assert edge_f1(_line(2), none) == 0
    assert edge_f1(none, none) == 1


def test_pictures_count_alike() -> None:
    made = torch.cat([_line(2), _line(2)])
    assert edge_f1(made, torch.cat([_line(2), _line(12)])) == pytest.approx(0.5)
