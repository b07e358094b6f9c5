"""A network whose rows may each carry adapters of their own."""

from contextvars import ContextVar
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from worker.models.adapters.fitting import changeable
from worker.models.adapters.mixture import Mixture, Segment
from worker.models.image_prompts.attention import decouple
from worker.models.networks.int8 import changed_class
from worker.models.shared import sharing_copy

_mixture: ContextVar[Mixture | None] = ContextVar("mixture", default=None)  # of the call that is running


class AdaptedNetwork:
    """A network with the weights of another, which stays as it is.

    Its layers are copies that share their weights with the other's. They read the adapters of the running call, and its
    cross-attentions the pictures. So no module remembers any.
    """

    def __init__(self, network: nn.Module) -> None:
        """Copy nothing yet.

        Args:
            network: frozen, on its device.
        """
        self._plain = network

    @cached_property
    def _network(self) -> nn.Module:
        network = sharing_copy(self._plain)
        for name, layer in changeable(network).items():
            is_linear = isinstance(layer, nn.Linear)
            layer.__class__ = changed_class(layer, _AdaptedLinear) if is_linear else _AdaptedConvolution
            layer.place = name  # type: ignore[assignment]  # a name, not a module
        decouple(network)
        return network

    def __call__(self, mixture: Mixture | None, *inputs: Any, **named: Any) -> Any:
        """The network's answer to inputs [B, ...], with the adapters of B rows, if any have some."""
        token = _mixture.set(mixture)
        try:
            return self._network(*inputs, **named)
        finally:
            _mixture.reset(token)


class _AdaptedLinear(nn.Linear):
    place: str

    def forward(self, input: Tensor) -> Tensor:
        output = super().forward(input)
        for segment in _segments(self.place):
            stack = segment.stacks[self.place]
            low = F.linear(_rows(input, segment), stack.down)
            weights = segment.spread(stack).to(low.dtype)
            low = low * weights.view(len(weights), *[1] * (low.ndim - 2), -1)
            change = F.linear(low, stack.up)
            if self.place in segment.gains:
                own = _without(_rows(output, segment), self.bias)
                change = _magnified(own, change, segment.gains[self.place])
            output = _added(output, change, segment)
        return output


class _AdaptedConvolution(nn.Conv2d):
    place: str

    def forward(self, input: Tensor) -> Tensor:
        output = super().forward(input)
        for segment in _segments(self.place):
            stack = segment.stacks[self.place]
            low = F.conv2d(_rows(input, segment), stack.down, None, self.stride, self.padding, self.dilation)
            low = low * segment.spread(stack).to(low.dtype)[:, :, None, None]
            change = F.conv2d(low, stack.up[:, :, None, None])
            if self.place in segment.gains:
                bias = None if self.bias is None else self.bias[:, None, None]
                own = _without(_rows(output, segment), bias)
                change = _magnified(own, change, segment.gains[self.place][:, None, None])
            output = _added(output, change, segment)
        return output


def _segments(place: str) -> list[Segment]:
    """Those of the running call that change a layer."""
    mixture = _mixture.get()
    return [segment for segment in mixture.segments if place in segment.stacks] if mixture else []


def _rows(values: Tensor, segment: Segment) -> Tensor:
    return values if segment.rows is None else values.index_select(0, segment.rows)


def _without(output: Tensor, bias: Tensor | None) -> Tensor:
    return output if bias is None else output - bias


def _magnified(own: Tensor, change: Tensor, gain: Tensor) -> Tensor:
    """What is added to an output W x so that it becomes g (W x + change)."""
    return gain * change + (gain - 1) * own


def _added(output: Tensor, change: Tensor, segment: Segment) -> Tensor:
    """The output with the change of some rows; the others keep their bits."""
    return output + change if segment.rows is None else output.index_add(0, segment.rows, change)
