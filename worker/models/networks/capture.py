"""Records a call of a network as a CUDA graph."""

from typing import Any

import torch
from torch import Tensor

from worker.models.networks.graphs import Graph, Network

WARM_UPS = 3  # that a library may need to make its handles and workspaces, which no capture may do


class CudaCapture:
    """Records graphs that share one pool of memory: they run one after the other, so each may overwrite the others'."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def __call__(self, network: Network, inputs: tuple[Tensor, ...]) -> Graph:
        """Record a call of the network on copies of these inputs."""
        own = tuple(given.clone() for given in inputs)
        stream, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                network(*own)
        current.wait_stream(stream)
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            before = torch.cuda.memory_reserved(self._device)
            output = network(*own)
            taken = torch.cuda.memory_reserved(self._device) - before
        return Graph(own, output, graph.replay, taken)
