"""A network's operators without the Python between them, for CPUs: a frozen TorchScript trace of it.

PyTorch calls the API old, and its replacement needs a compiler. So it has this one user, who keeps the plain network.
"""

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable

import structlog
import torch
from torch import Tensor, nn

from worker.models.footprint import undisturbed
from worker.models.networks.wanted import Wanted, shapes

# The Python of Stable Diffusion's UNet takes about 8 ms of a call. Beside a longer call than this it is not worth the
# calls that a trace costs.
LONGEST_CALL_S = 0.25
KEPT = 64  # shapes whose answers were compared

log = structlog.get_logger(__name__)


class Traced:
    """A network that answers from its trace, where that was seen to have the same bits.

    A trace keeps the decisions that Python took while it was made. So for every new shape of the inputs, one answer of
    the trace is compared with the network's own, bit by bit. The trace holds the network's weights themselves, no copy.
    """

    def __init__(self, network: nn.Module) -> None:
        """Trace nothing yet.

        Args:
            network: frozen; from tensors [B, ...] to one tensor [B, ...].
        """
        self._network = network
        self._trace: Callable[..., Tensor] | None = None
        self._wanted = Wanted()
        self._agrees: OrderedDict[Hashable, bool] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Answer inputs [B, ...]."""
        key = min(len(inputs[0]), 2), shapes(inputs)  # one row takes paths of its own
        if self._trace is not None and self._agrees.get(key):
            return _run(self._trace, inputs)
        began = time.perf_counter()
        answer: Tensor = self._network(*inputs)
        took = time.perf_counter() - began
        if took < LONGEST_CALL_S and key not in self._agrees and self._wanted.often(key):
            self._compare(key, inputs, answer)
        return answer

    def _compare(self, key: Hashable, inputs: tuple[Tensor, ...], answer: Tensor) -> None:
        """Learn whether the trace answers inputs of this shape with the network's bits."""
        with undisturbed(inputs[0].device) as alone:
            if not alone:  # a loader changes how modules are made, for all threads
                return
            try:
                if self._trace is None:
                    self._trace = traced(self._network, inputs)
                agrees = _same(_run(self._trace, inputs), answer)
                reason = "other bits"
            except Exception as error:
                agrees, reason = False, str(error).strip().splitlines()[-1][:200]
        if not agrees:
            log.info("a network is not traced", shapes=[list(each.shape) for each in inputs], reason=reason)
        self._agrees[key] = agrees
        if len(self._agrees) > KEPT:
            self._agrees.popitem(last=False)


def traced(network: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    """The frozen trace of a network that is in evaluation mode."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of its age, and of each decision that it keeps
        trace: Callable[..., Tensor] = torch.jit.freeze(torch.jit.trace(network, inputs, check_trace=False))
    return trace


def _run(trace: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    # TorchScript would observe the first runs and rewrite the trace by them, which was no faster.
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # public, but not listed
        return trace(*inputs)


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
