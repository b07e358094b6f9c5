"""CUDA graphs of a network: one launch instead of one for each of its operators.

A graph repeats a recorded call on the same memory. So a network has a graph for each shape of its inputs, and for a few
numbers of rows: a batch between two of them is filled up with copies of its first row.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import structlog
import torch
from torch import Tensor

from worker.models.failures import is_out_of_memory
from worker.models.footprint import is_measuring, undisturbed
from worker.models.networks.wanted import Wanted, shapes

# Beyond, the device is busy longer than the host takes to launch the operators.
BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16)
# That a graph's first answer may differ from the network's own, as a share of its largest number.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}

log = structlog.get_logger(__name__)

Network = Callable[..., Tensor]  # from tensors [B, ...] to one tensor [B, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A recorded call.

    Attributes:
        inputs: that it reads.
        output: that it writes.
        replay: runs it.
        taken_bytes: of the device's memory, for as long as the graph lives.
    """

    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]
    taken_bytes: int

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer at most as many rows as were recorded; the next call does not change the answer."""
        rows = len(inputs[0])
        for own, given in zip(self.inputs, inputs, strict=True):
            own[:rows].copy_(given)
            own[rows:].copy_(given[:1].expand_as(own[rows:]))
        self.replay()
        return self.output[:rows].clone()


Capture = Callable[[Network, tuple[Tensor, ...]], Graph]  # records a call of a network on copies of inputs


class GraphPool:
    """The graphs of all networks of a device, within a bound of memory. The least recently used goes first."""

    def __init__(self, capture: Capture, limit_bytes: float) -> None:
        """Record nothing yet.

        Args:
            capture: records a call.
            limit_bytes: of all graphs together.
        """
        self._capture = capture
        self._limit_bytes = limit_bytes
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()
        self._refused: set[Hashable] = set()
        self._wanted = Wanted()
        # The loader's thread clears, while the engine's uses.
        self._lock = threading.RLock()

    @property
    def taken_bytes(self) -> int:
        """Memory of all graphs."""
        with self._lock:
            return sum(graph.taken_bytes for graph in self._graphs.values())

    def clear(self) -> None:
        """Give up every graph: the memory is short, or a network is gone."""
        with self._lock:
            self._graphs.clear()
            self._refused.clear()
            self._wanted.forget()

    def find(self, key: Hashable, network: Network, inputs: tuple[Tensor, ...]) -> Graph | None:
        """The graph of this key, made of a call on these inputs if it has been wanted often; or None."""
        with self._lock:
            graph = self._graphs.get(key)
            if graph is not None:
                self._graphs.move_to_end(key)
                return graph
            if key in self._refused or not self._wanted.often(key):
                return None
        with undisturbed(inputs[0].device) as alone:
            return self._made(key, network, inputs) if alone else None

    def _made(self, key: Hashable, network: Network, inputs: tuple[Tensor, ...]) -> Graph | None:
        try:
            graph = self._capture(network, inputs)
            reason = _fault(graph(*inputs), network(*inputs))
        except Exception as error:
            if is_out_of_memory(error):
                self.clear()
            reason = str(error) or type(error).__name__
        with self._lock:
            if reason is None and graph.taken_bytes > self._limit_bytes:
                reason = f"it takes {graph.taken_bytes >> 20} MiB"
            if reason is not None:
                self._refused.add(key)
                log.warning("a network is run without a graph", rows=len(inputs[0]), reason=reason)
                return None
            self._graphs[key] = graph
            while self.taken_bytes > self._limit_bytes:
                self._graphs.popitem(last=False)
        return graph


class Graphs:
    """A network that answers from its graphs, where there is one."""

    def __init__(self, network: Network, pool: GraphPool) -> None:
        self._network, self._pool = network, pool
        self._name = object()  # in the pool; one that no later network can have

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer inputs [B, ...]. Rows are filled up with or without a graph, so that both run the same kernels."""
        rows = len(inputs[0])
        bucket = next((size for size in BUCKETS if size >= rows), None)
        if bucket is None:
            return self._network(*inputs)
        full = tuple(_filled_up(given, bucket) for given in inputs)
        # What a batch takes is measured without its graph, which took its memory long before.
        graph = (
            None
            if is_measuring()
            else self._pool.find((self._name, bucket, shapes(inputs)), self._network, full)
        )
        return self._network(*full)[:rows] if graph is None else graph(*inputs)


def _filled_up(rows: Tensor, size: int) -> Tensor:
    """Rows [B, ...] and as many copies of the first that there are ``size``."""
    missing = size - len(rows)
    return torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])]) if missing else rows


def _fault(answer: Tensor, own: Tensor) -> str | None:
    """What is wrong with a graph's answer, beside the network's own."""
    if not bool(own.isfinite().all()):
        return None
    bound = TOLERANCE.get(own.dtype, 0.0) * float(own.abs().max())
    error = float((answer.float() - own.float()).abs().max())
    return None if error <= bound else f"its answer is wrong by {error:.1e}, where {bound:.1e} may be"
