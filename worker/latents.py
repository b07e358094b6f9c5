"""The latents of a picture and its solver's memory, advanced for all pictures of a batch at once.

Every solver is linear (``worker/sampling/linear_run.py``): the state after a call of the denoiser is a weighted sum of
the state before it, of the output, and of fresh noise. The weights lie on the model's device, a row for each call of a
run, so a batch advances by elementwise sums there, whatever its pictures' solvers, steps and guidance scales are.
Nothing is read from the device, and no sum runs over pictures: a picture has the same bits alone and in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# Parts of a state, in an order in which every solver needs only the first few: the latents, the value of the last step,
# the latents at its start, and the values of the steps before.
PARTS = ("x", "past 0", "start", "past 1", "past 2", "past 3")
INPUTS = (*PARTS, "output", "noise")  # of a call
OUTPUT, NOISE = INPUTS.index("output"), INPUTS.index("noise")


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A run as weights.

    Attributes:
        weights: of the inputs in each part of the state after a call, [calls, PARTS, INPUTS], float32 on the CPU.
        timesteps: of the calls, [calls], likewise.
        moves: the parts that move with the latents after a step, each with its weight, for each step.
        depth: number of parts that the run needs.
        terms: the weights of each call that are not zero, as (part, input).
    """

    weights: Tensor
    timesteps: Tensor
    moves: tuple[tuple[tuple[int, float], ...], ...]
    depth: int
    terms: tuple[frozenset[tuple[int, int]], ...] = field(init=False)
    _tables: dict[torch.device, Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Find the terms."""
        terms = tuple(
            frozenset((part, number) for part, number in call.nonzero().tolist()) for call in self.weights
        )
        object.__setattr__(self, "terms", terms)

    def table(self, device: torch.device) -> Tensor:
        """A row for each call: its timestep, then its weights, [calls, 1 + PARTS * INPUTS]; uploaded once."""
        if device not in self._tables:
            flat = torch.cat([self.timesteps[:, None], self.weights.flatten(1)], dim=1)
            self._tables[device] = flat.to(device)
        return self._tables[device]


class LatentState:
    """One picture on its way from noise to finished latents.

    Its parts are a row of the tensor that the last batch has made, so that pictures which meet again need not be
    gathered.

    Attributes:
        run: the coefficients of its solver.
        call: number of the next call of the denoiser.
        whole: the tensor, [N, depth or more, C, h, w]; parts beyond the run's depth are zero.
        row: of the tensor.
    """

    __slots__ = ("_marked", "call", "row", "run", "whole")

    def __init__(self, run: Coefficients, x: Tensor) -> None:
        """Start a run.

        Args:
            run: its coefficients.
            x: the latents to start from, [1, C, h, w], on the model's device.
        """
        self.run = run
        self.call = 0
        self._set(torch.cat([x, x.new_zeros(run.depth - 1, *x.shape[1:])]))
        self._marked = self.parts, self.call

    def _set(self, parts: Tensor) -> None:
        self.whole, self.row = parts[None], 0

    @property
    def parts(self) -> Tensor:
        """The state, [depth or more, C, h, w]."""
        return self.whole[self.row]

    @property
    def shape(self) -> torch.Size:
        """Of the latents, without the batch: [C, h, w]."""
        return self.whole.shape[2:]

    @property
    def x(self) -> Tensor:
        """The latents, [1, C, h, w]."""
        return self.whole[self.row, :1]

    def shift(self, step: int, shift: Tensor) -> None:
        """Move the latents after a step, and the memory as if they had always been on that trajectory.

        Args:
            step: its number.
            shift: [1, C, h, w].
        """
        for part, weight in self.run.moves[step]:
            # In place: the row is this picture's own, and nothing else holds it yet.
            self.whole[self.row, part].add_(shift[0], alpha=weight)

    def mark(self) -> None:
        """Save the state before a step that may be repeated."""
        self._marked = self.parts, self.call

    def renoise(self, keep: float, noise: Tensor) -> None:
        """Go back to the marked memory, with the latents that the forward process makes of the present ones.

        Args:
            keep: weight of the present latents.
            noise: to add to them, [1, C, h, w].
        """
        marked, self.call = self._marked
        self._set(torch.cat([keep * self.x + noise, marked[1:]]))


def gathered(states: Sequence[LatentState]) -> Tensor:
    """The states of a batch, [N, depth, C, h, w]; without a copy if they are one tensor already."""
    depth = max(state.run.depth for state in states)
    whole = states[0].whole
    if len(whole) == len(states) and all(
        state.whole is whole and state.row == row for row, state in enumerate(states)
    ):
        return whole[:, :depth]
    return torch.stack([_padded(state.parts, depth) for state in states])


def _padded(parts: Tensor, depth: int) -> Tensor:
    if len(parts) >= depth:
        return parts[:depth]
    return torch.cat([parts, parts.new_zeros(depth - len(parts), *parts.shape[1:])])


def calls_of(states: Sequence[LatentState], device: torch.device) -> Tensor:
    """The timestep and the weights of each state's next call, [N, 1 + PARTS * INPUTS]."""
    return torch.stack([state.run.table(device)[state.call] for state in states])


def advanced(
    states: Sequence[LatentState], before: Tensor, calls: Tensor, output: Tensor, noise: Tensor | None
) -> Tensor:
    """The parts of each state after its next call, [N, depth, C, h, w].

    Args:
        states: of the batch.
        before: their parts, [N, depth, C, h, w].
        calls: as of ``calls_of``.
        output: the denoiser's, combined over the rows of each picture, [N, C, h, w].
        noise: standard normal where a run draws some, [N, C, h, w]; None if none does.
    """
    weights = calls[:, 1:].view(len(states), len(PARTS), len(INPUTS), 1, 1, 1)
    inputs = {**{part: before[:, part] for part in range(before.shape[1])}, OUTPUT: output, NOISE: noise}
    terms = frozenset[tuple[int, int]]().union(*(state.run.terms[state.call] for state in states))
    numbers: list[list[int]] = [[] for _ in PARTS]
    for part, number in sorted(terms):
        numbers[part].append(number)
    after = torch.empty_like(before)
    for part in range(before.shape[1]):
        _add_up(after[:, part], [(inputs[number], weights[:, part, number]) for number in numbers[part]])
    return after


def move_on(states: Sequence[LatentState], after: Tensor) -> None:
    """Give each state its parts after a call. It cannot fail, so a batch that does is tried again from where it was."""
    for row, state in enumerate(states):
        state.whole, state.row = after, row
        state.call += 1


def _add_up(total: Tensor, terms: Sequence[tuple[Tensor | None, Tensor]]) -> None:
    """Write a weighted sum of values into ``total``; zero without any."""
    if not terms:
        total.zero_()
    for number, (value, weight) in enumerate(terms):
        assert value is not None
        if number:
            total.addcmul_(value, weight)
        else:
            torch.mul(value, weight, out=total)
