"""A network that PyTorch's compiler has turned into kernels of its own, for the shapes that were prepared."""

from collections.abc import Hashable
from typing import Any

import structlog
import torch
from torch import Tensor, nn

from worker.models.failures import is_out_of_memory
from worker.models.networks.wanted import shapes

# Rows that are compiled for. The compiler keeps 1 apart, and guards code for 2 by a bound that is below 16.
ROWS_PREPARED = (1, 2, 16, 64)
MOST_COMPILATIONS = 256  # of one network class: of every model and prepared shape

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
        self._network = network.to(memory_format=torch.channels_last)
        self._compiled: Any = torch.compile(network, fullgraph=True, **options)
        self._prepared: set[Hashable] = set()

    def prepare(self, *inputs: Tensor) -> None:
        """Compile for inputs [1, ...] of these shapes, with any number of rows that fits the memory."""
        for rows in ROWS_PREPARED:
            try:
                self._compile(rows, inputs)
            except Exception as error:
                if is_out_of_memory(error) and rows == 1:
                    raise
                if not is_out_of_memory(error):
                    log.warning(
                        "a network is run without compiling", rows=rows, reason=str(error).strip()[:500]
                    )
                return
            self._prepared.add(shapes(inputs))

    def _compile(self, rows: int, inputs: tuple[Tensor, ...]) -> None:
        given = tuple(_laid_out(each.repeat(rows, *[1] * (each.ndim - 1))) for each in inputs)
        if rows > 1:
            for each in given:
                torch._dynamo.mark_dynamic(each, 0)
        with torch._dynamo.config.patch(
            recompile_limit=MOST_COMPILATIONS, accumulated_recompile_limit=MOST_COMPILATIONS
        ):
            self._compiled(*given)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer inputs [B, ...]."""
        given = tuple(_laid_out(each) for each in inputs)
        if shapes(inputs) not in self._prepared:
            answer: Tensor = self._network(*given)
            return answer
        with torch.compiler.set_stance("eager_on_recompile"):
            answer = self._compiled(*given)
        return answer


def _laid_out(given: Tensor) -> Tensor:
    return given.contiguous(memory_format=torch.channels_last) if given.ndim == 4 else given
