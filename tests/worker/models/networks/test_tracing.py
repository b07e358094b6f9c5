"""A traced network gives the bits of the network itself, or is not used."""

import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from tests.worker.models.networks.tiny import Output, inputs, tiny_unet
from worker.models.footprint import taking_memory
from worker.models.networks import tracing
from worker.models.networks.tracing import Traced
from worker.models.networks.wanted import TIMES, Wanted

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def unet(monkeypatch: pytest.MonkeyPatch) -> Output:
    monkeypatch.setattr(tracing, "LONGEST_CALL_S", 60.0)  # of a loaded machine
    return tiny_unet()


def wanted_often(network: Traced, *given: Tensor) -> Tensor:
    for _ in range(TIMES):
        answer = network(*given)
    return answer


@pytest.mark.parametrize("rows_of_trace", [1, 2])
def test_a_trace_has_the_bits_of_the_unet_for_any_rows_latents_and_contexts(
    unet: Output, rows_of_trace: int
) -> None:
    network = Traced(unet)
    wanted_often(network, *inputs(rows_of_trace))
    for size, length in (((8, 8), 32), ((8, 12), 32), ((16, 8), 77)):
        for rows in (1, 2, 8, 32):
            given = inputs(rows, size, length)
            wanted_often(network, *given)
            runs = unet.calls
            answer = network(*given)
            assert unet.calls == runs, "the trace has answered"
            assert torch.equal(answer, unet(*given)), (rows, size, length)


def test_one_trace_serves_all_numbers_of_rows(unet: Output) -> None:
    network = Traced(unet)
    wanted_often(network, *inputs(2))
    runs = unet.calls
    for rows in (2, 3, 5, 2):
        network(*inputs(rows))
    assert unet.calls == runs


def test_a_shape_for_which_the_trace_is_wrong_is_answered_by_the_network(unet: Output) -> None:
    network = Traced(unet)
    wanted_often(network, *inputs(2))
    odd = inputs(2, (9, 11))  # whose sides do not halve evenly: the UNet decides in Python how to double them
    answers = [network(*odd) for _ in range(TIMES + 2)]
    assert all(torch.equal(answer, unet(*odd)) for answer in answers)


class Fickle(nn.Module):
    """Decides by the numbers, which a trace cannot."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if bool(x.flatten()[0] > 0) else x * x.shape[-1] + len(x)


def test_a_decision_that_a_trace_has_frozen_wrongly_is_found_for_each_new_shape() -> None:
    network = Traced(Fickle().eval())
    wanted_often(network, torch.ones(2, 3))
    below = -torch.ones(2, 4)
    assert all(torch.equal(network(below), Fickle()(below)) for _ in range(TIMES + 2))


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise RuntimeError("this network is a secret")
        return x + 1


def test_a_network_that_cannot_be_traced_is_run_as_it_is_and_the_log_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = Traced(Untraceable())
    given = torch.zeros(2, 3)
    assert all(torch.equal(network(given), given + 1) for _ in range(3 * TIMES))
    assert capsys.readouterr().out.count("this network is a secret") == 1


def test_nothing_is_traced_while_a_model_is_loaded_but_afterwards(unet: Output) -> None:
    network, given = Traced(unet), inputs(2)
    with taking_memory(CPU):
        wanted_often(network, *given)
        wanted_often(network, *given)
    runs = unet.calls
    network(*given)  # makes the trace
    assert unet.calls > runs
    runs = unet.calls
    network(*given)
    assert unet.calls == runs


class Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise AssertionError("it is not worth a trace")
        time.sleep(0.003)
        return x


def test_a_network_whose_calls_are_long_is_not_traced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracing, "LONGEST_CALL_S", 0.002)
    wanted_often(Traced(Slow()), torch.zeros(1, 1))
    assert "not traced" not in capsys.readouterr().out


def test_a_trace_holds_the_networks_own_weights() -> None:
    layer = nn.Linear(4, 4, bias=False).eval().requires_grad_(False)
    network, given = Traced(layer), torch.ones(2, 4)
    wanted_often(network, given)
    layer.weight.fill_(2.0)
    assert torch.equal(network(given), torch.full((2, 4), 8.0))


def test_a_shape_that_is_seen_among_many_others_is_counted_and_the_counts_are_bounded() -> None:
    wanted = Wanted()
    assert [wanted.often("a") for _ in range(TIMES)] == [False] * (TIMES - 1) + [True]
    for other in range(1000):
        wanted.often(other)
    assert not wanted.often("a")
