"""A network that PyTorch's compiler has turned into kernels of its own, for the shapes that were prepared."""

from collections.abc import Hashable
from typing import Any

import structlog
import torch
from torch import Tensor, nn

from worker.models.failures import is_out_of_memory
from worker.models.networks.wanted import shapes

# Compiled for 1 row, and once for all other numbers of rows.
ROWS_PREPARED = (1, 2)

log = structlog.get_logger(__name__)


class Compiled:
    """A network that answers prepared shapes from compiled code, and others itself.

    Compiling takes minutes, which no job should wait for. So only ``prepare`` compiles, before the model serves.
    """

    def __init__(self, network: nn.Module, **options: Any) -> None:
        """Compile nothing yet; bring the weights into the layout that convolutions are compiled best for.

        Args:
            network: from tensors [B, ...] to one tensor [B, ...].
            options: of ``torch.compile``.
        """
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._compiled: Any = torch.compile(network, fullgraph=True, **options)
        self._prepared: set[Hashable] = set()

    def prepare(self, *inputs: Tensor) -> None:
        """Compile for inputs [1, ...] of these shapes, with any number of rows."""
        try:
            for rows in ROWS_PREPARED:
                self._compile(rows, inputs)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.warning("a network is run without compiling", reason=str(error).strip()[:500])
            return
        self._prepared.add(shapes(inputs))

    def _compile(self, rows: int, inputs: tuple[Tensor, ...]) -> None:
        given = tuple(_laid_out(each.repeat(rows, *[1] * (each.ndim - 1))) for each in inputs)
        if rows > 1:
            for each in given:
                torch._dynamo.mark_dynamic(each, 0)  # type: ignore[no-untyped-call]
        self._compiled(*given)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer inputs [B, ...]."""
        run = self._compiled if shapes(inputs) in self._prepared else self._network
        answer: Tensor = run(*(_laid_out(each) for each in inputs))
        return answer


def _laid_out(given: Tensor) -> Tensor:
    return given.contiguous(memory_format=torch.channels_last) if given.ndim == 4 else given
