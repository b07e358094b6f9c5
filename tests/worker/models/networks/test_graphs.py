"""Batches are filled up to the recorded numbers of rows, and nothing of that is seen in an answer.

The capture here repeats the call where CUDA would repeat its kernels: on the same memory, into the same memory.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.worker.models.networks.tiny import inputs, tiny_unet
from worker.models.footprint import peak_memory, taking_memory
from worker.models.networks.graphs import BUCKETS, Graph, GraphPool, Graphs, Network
from worker.models.networks.wanted import TIMES

CPU, MIB = torch.device("cpu"), 2**20


class Repeating:
    """Records a call as the call itself; each takes a mebibyte a row."""

    def __init__(self) -> None:
        self.captured: list[int] = []
        self.replays = 0

    def __call__(self, network: Network, given: tuple[Tensor, ...]) -> Graph:
        own = tuple(each.clone() for each in given)
        output = network(*own).clone()
        self.captured.append(len(own[0]))

        def replay() -> None:
            self.replays += 1
            output.copy_(network(*own))

        return Graph(own, output, replay, len(own[0]) * MIB)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def capture() -> Repeating:
    return Repeating()


def doubled(x: Tensor) -> Tensor:
    return 2 * x


def rows(*values: float) -> Tensor:
    return torch.tensor(values)[:, None].repeat(1, 4)


def often(network: Graphs, *given: Tensor) -> Tensor:
    for _ in range(TIMES):
        answer = network(*given)
    return answer


@pytest.mark.parametrize("count", [*range(1, 18), 40])
def test_every_number_of_rows_gets_the_answers_of_the_network(count: int, capture: Repeating) -> None:
    network, given = Graphs(doubled, GraphPool(capture, 2**30)), torch.randn(count, 4)
    for _ in range(TIMES + 2):
        assert torch.equal(network(given), 2 * given)
    assert capture.captured == [size for size in BUCKETS if size >= count][:1]


def test_a_unet_answers_in_a_graph_what_it_answers_by_itself(capture: Repeating) -> None:
    unet = tiny_unet()
    network = Graphs(unet, GraphPool(capture, 2**30))
    for count in (3, 5, 5, 5, 3, 6, 3):
        given = inputs(count)
        assert (network(*given) - unet(*given)).abs().max() < 1e-5
    assert capture.captured == [6, 3]


def test_a_graph_is_recorded_when_its_bucket_is_wanted_for_the_third_time(capture: Repeating) -> None:
    network = Graphs(doubled, GraphPool(capture, 2**30))
    for count in (5, 6):
        network(torch.zeros(count, 4))
    assert capture.captured == []
    network(torch.zeros(5, 4))
    assert capture.captured == [6]


def test_other_shapes_have_other_graphs(capture: Repeating) -> None:
    network = Graphs(doubled, GraphPool(capture, 2**30))
    for width in (4, 8, 4):
        often(network, torch.zeros(2, width))
    often(network, torch.zeros(2, 4, dtype=torch.float64))
    assert capture.captured == [2, 2, 2]


def test_an_answer_keeps_its_numbers_when_the_graph_answers_again(capture: Repeating) -> None:
    network = Graphs(doubled, GraphPool(capture, 2**30))
    first = often(network, rows(1, 2, 3))
    second = network(rows(7, 8, 9))
    assert first[:, 0].tolist() == [2, 4, 6]
    assert second[:, 0].tolist() == [14, 16, 18]


def test_rows_that_fill_up_never_leak(capture: Repeating) -> None:
    """Rows that are not finite lie in the graph's memory from the call before."""
    network = Graphs(doubled, GraphPool(capture, 2**30))
    often(network, rows(1, 2, 3, 4, 5, float("nan")))
    answer = network(rows(1, 2, 3, 4, 5))
    assert answer.shape == (5, 4)
    assert answer[:, 0].tolist() == [2, 4, 6, 8, 10]


def test_a_network_sees_copies_of_the_first_row_and_nothing_else(capture: Repeating) -> None:
    seen: list[list[float]] = []

    def noting(x: Tensor) -> Tensor:
        seen.append(x[:, 0].tolist())
        return x

    network = Graphs(noting, GraphPool(capture, 2**30))
    often(network, rows(1, 2, 3, 4, 5, 6))
    network(rows(11, 12, 13, 14, 15))
    assert seen[0] == [1, 2, 3, 4, 5, 6]
    assert seen[-1] == [11, 12, 13, 14, 15, 11]
    Graphs(noting, GraphPool(capture, 2**30))(rows(7, 8, 9, 10, 11))
    assert seen[-1] == [7, 8, 9, 10, 11, 7], "without a graph too"


def test_the_least_recently_used_graph_makes_room(capture: Repeating) -> None:
    pool = GraphPool(capture, 8 * MIB)
    network, other = Graphs(doubled, pool), Graphs(doubled, pool)
    often(network, torch.zeros(3, 4))
    often(other, torch.zeros(4, 4))
    assert pool.taken_bytes == 7 * MIB
    network(torch.zeros(3, 4))
    often(other, torch.zeros(2, 4))  # 9 MiB together
    assert pool.taken_bytes == 5 * MIB
    replays = capture.replays
    network(torch.zeros(3, 4))
    assert capture.replays == replays + 1, "it was used later"


def test_a_graph_that_exceeds_the_bound_is_not_kept_and_not_tried_again(
    capture: Repeating, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = GraphPool(capture, 5 * MIB)
    network = Graphs(doubled, pool)
    often(network, torch.zeros(2, 4))
    for _ in range(2 * TIMES):
        assert torch.equal(network(rows(*range(6))), 2 * rows(*range(6)))
    assert capture.captured == [2, 6]
    assert pool.taken_bytes == 2 * MIB
    assert "it takes 6 MiB" in capsys.readouterr().out


def test_two_networks_share_no_graph(capture: Repeating) -> None:
    pool = GraphPool(capture, 2**30)
    network, other = Graphs(doubled, pool), Graphs(lambda x: 3 * x, pool)
    often(network, rows(1))
    assert often(other, rows(1))[0, 0] == 3


def test_after_a_lack_of_memory_no_graph_is_left_and_each_must_be_wanted_again(capture: Repeating) -> None:
    pool = GraphPool(capture, 2**30)
    network = Graphs(doubled, pool)
    often(network, torch.zeros(2, 4))
    pool.clear()
    assert pool.taken_bytes == 0
    network(torch.zeros(2, 4))
    assert capture.captured == [2]
    often(network, torch.zeros(2, 4))
    assert capture.captured == [2, 2]


def test_a_capture_without_memory_gives_up_all_graphs_and_the_call_is_answered(capture: Repeating) -> None:
    def capturing(network: Network, given: tuple[Tensor, ...]) -> Graph:
        if len(given[0]) == 4:
            raise RuntimeError("CUDA error: out of memory")
        return capture(network, given)

    pool = GraphPool(capturing, 2**30)
    network = Graphs(doubled, pool)
    often(network, torch.zeros(2, 4))
    assert often(network, rows(1, 2, 3, 4))[:, 0].tolist() == [2, 4, 6, 8]
    assert pool.taken_bytes == 0


def test_a_capture_that_fails_is_not_tried_again_and_the_log_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried = []

    def capturing(network: Network, given: tuple[Tensor, ...]) -> Graph:
        tried.append(len(given[0]))
        raise RuntimeError("operation not permitted when stream is capturing")

    network = Graphs(doubled, GraphPool(capturing, 2**30))
    for _ in range(3 * TIMES):
        assert torch.equal(network(rows(1, 2)), rows(2, 4))
    assert tried == [2]
    assert capsys.readouterr().out.count("operation not permitted") == 1


def test_a_graph_whose_first_answer_is_wrong_is_never_used(
    capture: Repeating, capsys: pytest.CaptureFixture[str]
) -> None:
    def capturing(network: Network, given: tuple[Tensor, ...]) -> Graph:
        return capture(lambda x: network(x) + 0.01, given)

    network = Graphs(doubled, GraphPool(capturing, 2**30))
    for _ in range(2 * TIMES):
        assert torch.equal(network(rows(1, 2)), rows(2, 4))
    assert capture.captured == [2]
    assert "its answer is wrong by" in capsys.readouterr().out


def test_nothing_is_recorded_while_a_model_is_loaded_but_afterwards(capture: Repeating) -> None:
    network = Graphs(doubled, GraphPool(capture, 2**30))
    with taking_memory(CPU):
        often(network, rows(1))
        assert often(network, rows(2))[0, 0] == 4
    assert capture.captured == []
    network(rows(1))
    assert capture.captured == [1]


def test_a_measured_batch_runs_without_its_graph_so_that_its_memory_is_seen(capture: Repeating) -> None:
    network = Graphs(doubled, GraphPool(capture, 2**30))
    often(network, rows(1))
    replays = capture.replays
    with peak_memory(CPU):
        assert network(rows(3))[0, 0] == 6
    assert capture.replays == replays
    network(rows(3))
    assert capture.replays == replays + 1
