"""The optimizer's update against what its paper says of it."""

import pytest
import torch
from torch import nn

from training.muon import RMS_OF_ADAMW, Muon, hidden_matrices, orthogonalized


@pytest.mark.parametrize("shape", [(24, 96), (96, 24), (48, 48)])
def test_orthogonalising_brings_singular_values_near_one_and_keeps_the_vectors(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonalized(matrix) @ v.T
    assert found.diagonal()[values > 0.1 * values.max()].sub(1).abs().max() < 0.35
    assert (found - found.diagonal().diag()).abs().max() < 1e-3


def test_an_update_is_as_large_as_one_of_adamw() -> None:
    parameter = nn.Parameter(torch.zeros(64, 16, 3, 3))
    parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 1e-4
    Muon([parameter], lr=1.0, weight_decay=0.0).step()
    assert parameter.square().mean().sqrt().item() == pytest.approx(RMS_OF_ADAMW, rel=0.2)


def test_vectors_embeddings_and_outer_layers_are_left_to_another_optimizer() -> None:
    model = nn.ModuleDict(
        {"conv_in": nn.Conv2d(3, 8, 3), "hidden": nn.Conv2d(8, 8, 3), "words": nn.Embedding(10, 8)}
    )
    assert [tuple(parameter.shape) for parameter in hidden_matrices(model)] == [(8, 8, 3, 3)]
