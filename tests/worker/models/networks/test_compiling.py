"""The denoiser compiles as a whole, for any number of rows, before a model serves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from tests.worker.models.networks.tiny import inputs, tiny_unet
from worker.models.device import Device
from worker.models.networks.compiling import ROWS_PREPARED, Compiled
from worker.models.networks.graphs import GraphPool, Graphs
from worker.models.networks.network import FastNetwork, UNetOutput
from worker.settings import WorkerSettings


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def plain_unet() -> UNetOutput:
    """One whose calls nobody counts: the compiler would see a new number in each."""
    return UNetOutput(tiny_unet().unet)


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.slow("traces a UNet three times in the compiler")
def test_the_unet_compiles_without_a_break_before_any_number_of_rows_comes() -> None:
    counter = CompileCounter()
    network = Compiled(plain_unet(), backend=counter)
    network.prepare(*inputs(1))
    prepared = counter.frame_count
    assert prepared <= len(ROWS_PREPARED)
    for rows in (1, 2, 3, 8, 33):
        given = inputs(rows)
        assert (network(*given) - tiny_unet()(*given)).abs().max() < 1e-5
    assert counter.frame_count == prepared


def test_a_shape_that_was_not_prepared_is_never_compiled() -> None:
    def forbidden(*_: Any) -> Callable[..., Any]:
        raise AssertionError("a job would wait for the compiler")

    given = inputs(2)
    answer = Compiled(plain_unet(), backend=forbidden)(*given)
    assert (answer - tiny_unet()(*given)).abs().max() < 1e-5


def test_a_network_that_the_compiler_refuses_is_run_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> Callable[..., Any]:
        raise RuntimeError("no working C++ compiler")

    network = Compiled(Doubling(), backend=broken)
    network.prepare(torch.ones(1, 3))
    assert "no working C++ compiler" in capsys.readouterr().out
    assert network(torch.ones(2, 3)).tolist() == [[2.0] * 3] * 2


def test_a_lack_of_memory_while_compiling_is_not_hidden() -> None:
    def full(*_: Any) -> Callable[..., Any]:
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(Exception, match="out of memory"):
        Compiled(Doubling(), backend=full).prepare(torch.ones(1, 3))


def test_gradients_come_from_the_plain_network_with_the_same_weights() -> None:
    unet = tiny_unet()
    network, given = FastNetwork(unet, Device(WorkerSettings(device="cpu", compile="on"))), inputs(2)
    with torch.enable_grad():
        leaf = given[0].clone().requires_grad_(True)
        output: Tensor = network(leaf, *given[1:])
        (gradient,) = torch.autograd.grad(output.sum(), leaf)
    assert gradient.abs().sum() > 0
    assert torch.equal(output, unet(*given))


def test_graphs_of_a_compiled_network_are_filled_up_too() -> None:
    network = Graphs(Compiled(plain_unet(), backend="eager"), GraphPool(_unused, 0))
    assert (network(*inputs(5)) - tiny_unet()(*inputs(5))).abs().max() < 1e-5


def _unused(*_: object) -> Any:
    raise AssertionError("wanted once")
