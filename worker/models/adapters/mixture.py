"""The adapters of a batch's rows: each row has its own set of them, with its own weights.

The factors of several adapters are stacked, A = [A_1; A_2; ...] and B = [B_1 B_2 ...]. A row's change of a layer is
then B (m * (A x)), where m holds the row's weight of each adapter. So all rows share two products, whatever their sets.
The products grow with the ranks of all sets together. Where these exceed ``STACKED_RANK``, rows of other sets are
computed apart. So are rows with a DoRA: it multiplies the outputs of a layer by gains g, y = g (W x + m B A x), which
depend on its weight.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.adapters.fitting import Fitted
from worker.models.caches import Latest

STACKED_RANK = 128  # of the adapters whose factors are stacked; a set of more is a stack by itself
KEPT = 4  # stacks
CONSTANT = 16  # mixtures that are the same for all rows

Use = tuple[Fitted, float]  # an adapter and its weight
NOTHING: Mapping[str, Tensor] = {}


@dataclass(frozen=True, eq=False)
class Stack:
    """The factors of several adapters for one layer.

    Attributes:
        down: of all ranks, [R, in] or [R, in, kh, kw].
        up: [out, R].
        owners: number of the adapter of each rank.
    """

    down: Tensor
    up: Tensor
    owners: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows that are computed together.

    Attributes:
        rows: their numbers in the batch, [B]; None for all.
        stacks: by layer.
        weights: of each row and adapter, [B, J]; or [1, J], the same for all rows.
        gains: of the outputs of layers, [out]; those of other layers are 1.
    """

    rows: Tensor | None
    stacks: Mapping[str, Stack]
    weights: Tensor
    gains: Mapping[str, Tensor] = field(default_factory=dict)
    _spread: dict[tuple[int, ...], Tensor] = field(default_factory=dict, init=False)

    def spread(self, stack: Stack) -> Tensor:
        """The weight of each row for each rank of a stack, [B, R]."""
        known = self._spread.get(stack.owners)
        if known is None:
            owners = torch.tensor(stack.owners, device=self.weights.device)
            known = self._spread[stack.owners] = self.weights.index_select(1, owners)
        return known


@dataclass(frozen=True, eq=False)
class Mixture:
    """The adapters of a batch, in segments that share no row."""

    segments: tuple[Segment, ...]


class Mixer:
    """Makes the mixtures of one network, and keeps the latest stacks."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._stacks: Latest[tuple[Fitted, ...], Mapping[str, Stack]] = Latest(KEPT)
        self._constant: Latest[tuple[Use, ...], Mixture] = Latest(CONSTANT)
        self._gains: Latest[tuple[Use, ...], Mapping[str, Tensor]] = Latest(CONSTANT)

    def forget(self) -> None:
        """Keep nothing: an adapter has left the memory."""
        self._stacks.clear()
        self._constant.clear()
        self._gains.clear()

    def of_rows(self, rows: Sequence[Sequence[Use]]) -> Mixture | None:
        """The mixture of rows with a set of adapters each; None if none of them changes the network.

        Raises:
            ModelUnavailableError: a row has a DoRA and another adapter on one layer.
        """
        changing = [_changing(uses) for uses in rows]
        apart = dict.fromkeys(uses for uses in changing if _is_decomposed(uses))
        segments = self._mixed([() if uses in apart else uses for uses in changing])
        for uses in apart:
            numbers = [row for row, each in enumerate(changing) if each == uses]
            segments.append(self._same(uses, numbers if len(numbers) < len(rows) else None))
        return Mixture(tuple(segments)) if segments else None

    def of_all(self, uses: Sequence[Use]) -> Mixture | None:
        """The mixture of any number of rows with the same adapters; None if none changes the network.

        The same object for the same adapters and weights, while it is kept. Errors as for ``of_rows``.
        """
        changing = _changing(uses)
        if not changing:
            return None
        return self._constant.of(changing, lambda: Mixture((self._same(changing, None),)))

    def _mixed(self, rows: Sequence[tuple[Use, ...]]) -> list[Segment]:
        """Segments of rows whose sets are stacked together."""
        sets = [tuple(fitted for fitted, _ in uses) for uses in rows]
        segments = []
        for group in _grouped([each for each in dict.fromkeys(sets) if each]):
            adapters = _in_order({fitted for each in group for fitted in each})
            numbers = [row for row, each in enumerate(sets) if each in group]
            weights = [[dict(rows[row]).get(fitted, 0.0) for fitted in adapters] for row in numbers]
            segments.append(self._segment(adapters, numbers if len(numbers) < len(rows) else None, weights))
        return segments

    def _same(self, uses: tuple[Use, ...], numbers: list[int] | None) -> Segment:
        """The segment of rows with the same adapters and weights."""
        gains = self._gains.of(uses, lambda: self._gains_of(uses))
        adapters = tuple(fitted for fitted, _ in uses)
        return self._segment(adapters, numbers, [[weight for _, weight in uses]], gains)

    def _segment(
        self,
        adapters: tuple[Fitted, ...],
        numbers: list[int] | None,
        weights: list[list[float]],
        gains: Mapping[str, Tensor] = NOTHING,
    ) -> Segment:
        return Segment(
            None if numbers is None else torch.tensor(numbers, device=self._device),
            self._stacks.of(adapters, lambda: _stacked(adapters)),
            torch.tensor(weights, device=self._device, dtype=self._dtype),
            gains,
        )

    def _gains_of(self, uses: tuple[Use, ...]) -> dict[str, Tensor]:
        gains: dict[str, Tensor] = {}
        for fitted, weight in uses:
            others = [other for other, _ in uses if other is not fitted]
            for layer, gain in fitted.gains(weight).items():
                if any(layer in other.layers for other in others):
                    raise ModelUnavailableError(
                        f"adapter {fitted.adapter.id!r} is a DoRA: no other adapter can change its layers, such as "
                        f"{layer}"
                    )
                gains[layer] = gain.to(self._device, self._dtype)
        return gains


def _changing(uses: Sequence[Use]) -> tuple[Use, ...]:
    """Those that change the network, in an order that does not depend on the request's."""
    weights = {fitted: weight for fitted, weight in uses if weight and fitted.layers}
    return tuple((fitted, weights[fitted]) for fitted in _in_order(weights))


def _is_decomposed(uses: Sequence[Use]) -> bool:
    return any(fitted.decomposed for fitted, _ in uses)


def _in_order(adapters: Iterable[Fitted]) -> tuple[Fitted, ...]:
    """By their digests, so that a sum has the same bits whatever their order in a request."""
    return tuple(sorted(adapters, key=lambda each: (each.adapter.digest, each.adapter.id)))


def _grouped(sets: list[tuple[Fitted, ...]]) -> list[list[tuple[Fitted, ...]]]:
    """Sets in groups whose ranks may be stacked together."""
    groups: list[tuple[set[Fitted], list[tuple[Fitted, ...]]]] = []
    for each in sets:
        for union, members in groups:
            if sum(fitted.rank for fitted in union.union(each)) <= STACKED_RANK:
                union.update(each)
                members.append(each)
                break
        else:
            groups.append((set(each), [each]))
    return [members for _, members in groups]


def _stacked(adapters: Sequence[Fitted]) -> Mapping[str, Stack]:
    stacks: dict[str, Stack] = {}
    for layer in dict.fromkeys(name for fitted in adapters for name in fitted.layers):
        parts = [(number, each.layers[layer]) for number, each in enumerate(adapters) if layer in each.layers]
        owners = tuple(number for number, factors in parts for _ in range(factors.rank))
        stacks[layer] = Stack(
            _one([its.down for _, its in parts], 0), _one([its.up for _, its in parts], 1), owners
        )
    return stacks


def _one(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
