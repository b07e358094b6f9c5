"""The latents of a picture and its solver's memory, advanced for all pictures of a batch at once.

Every solver is linear (``worker/sampling/linear_run.py``): the state after a call of the denoiser is a weighted sum of
the state before it, of the output, and of fresh noise. The weights lie on the model's device, a row for each call of a
run, so a batch advances by elementwise sums there, whatever its pictures' solvers, steps and guidance scales are.
Nothing is read from the device, and no sum runs over pictures: a picture has the same bits alone and in a batch.

Each part of a state is a tensor by itself. Most of a long memory only grows older at a call: such a part stays where it
is under another name, and no value is copied (``worker/patterns.py``). Memory that nothing reads now is used again:
fresh memory costs as much as a sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from worker.patterns import INPUTS, NOISE, ORDER, OUTPUT, PARTS, Coefficients, Made, X, joined

Parts = tuple[
    Tensor | None, ...
]  # by their place in PARTS, [N, C, h, w] each; None for one that no picture has
Term = tuple[Tensor, Tensor]  # of a sum: values [N, C, h, w] with their weights [N, 1, 1, 1]


@dataclass(frozen=True, eq=False)
class Stack:
    """The parts of the states of a batch, and memory for the next call of the same batch.

    Attributes:
        parts: with a row for each state.
        spare: tensors of the same shape that nothing reads any more.
        held: those that nothing reads after the next call. A prediction holds the latents before its call until its
            step is done, which makes two calls at most.
    """

    parts: Parts
    spare: list[Tensor] = field(default_factory=list)
    held: list[Tensor] = field(default_factory=list)

    @property
    def latents(self) -> Tensor:
        """The part that every state has, [N, C, h, w]."""
        latents = self.parts[X]
        assert latents is not None
        return latents

    def memory(self) -> Tensor:
        """Memory for a part, of any content."""
        return self.spare.pop() if self.spare else torch.empty_like(self.latents)

    def followed_by(self, parts: Parts) -> "Stack":
        """The stack after a call that has made these parts."""
        kept = {id(part) for part in parts}
        gone = {id(part): part for part in self.parts if part is not None and id(part) not in kept}
        latents = gone.pop(id(self.latents), None)
        spare = [*self.spare, *self.held, *gone.values()]
        return Stack(parts, spare, [] if latents is None else [latents])


class LatentState:
    """One picture on its way from noise to finished latents.

    Its parts are a row of the tensors that the last batch has made, so that pictures which meet again need not be
    gathered.

    Attributes:
        run: the coefficients of its solver.
        shape: of the latents, without the batch: [C, h, w].
        call: number of the next call of the denoiser.
        stack: the tensors.
        row: of each.
    """

    __slots__ = ("_marked", "call", "row", "run", "shape", "stack")

    def __init__(self, run: Coefficients, x: Tensor) -> None:
        """Start a run.

        Args:
            run: its coefficients.
            x: the latents to start from, [1, C, h, w], on the model's device; copied.
        """
        self.run, self.shape = run, x.shape[1:]
        self.call, self.row = 0, 0
        self.stack = Stack((x.clone(), *(None for _ in PARTS[1:])))
        self._marked = self.stack.parts, self.call

    @property
    def device(self) -> torch.device:
        """Where the latents are."""
        return self.stack.latents.device

    @property
    def x(self) -> Tensor:
        """The latents, [1, C, h, w]."""
        return self.stack.latents[self.row : self.row + 1]

    def shift(self, step: int, shift: Tensor) -> None:
        """Move the latents after a step, and the memory as if they had always been on that trajectory.

        Args:
            step: its number.
            shift: [1, C, h, w].
        """
        for place, weight in self.run.moves[step]:
            # In place: the row is this picture's own. No prediction holds it, since none of these parts is ever a
            # call's input under another name (``pattern``).
            part = self.stack.parts[place]
            assert part is not None
            part[self.row].add_(shift[0], alpha=weight)

    def mark(self) -> None:
        """Save the state before a step that may be repeated."""
        self._marked = self._copied(self.stack.parts, self.row), self.call

    def renoise(self, keep: float, noise: Tensor) -> None:
        """Go back to the marked memory, with the latents that the forward process makes of the present ones.

        Args:
            keep: weight of the present latents.
            noise: to add to them, [1, C, h, w].
        """
        marked, self.call = self._marked
        # A copy again: the memory moves with the latents, and the step may be repeated once more.
        self.stack = Stack((keep * self.x + noise, *self._copied(marked, 0)[1:]))
        self.row = 0

    def snapshot(self) -> "LatentState":
        """A copy that shares nothing but the run."""
        copy = LatentState(self.run, self.x)
        copy.become(self)
        return copy

    def become(self, other: "LatentState") -> None:
        """Go on from where another picture of the same run is; its tensors are copied."""
        self.stack, self.row, self.call = Stack(self._copied(other.stack.parts, other.row)), 0, other.call

    @staticmethod
    def _copied(parts: Parts, row: int) -> Parts:
        return tuple(None if part is None else part[row : row + 1].clone() for part in parts)


def gathered(states: Sequence[LatentState]) -> Stack:
    """The parts of a batch's states; without a copy if they are together already."""
    stack = states[0].stack
    if len(stack.latents) == len(states) and all(
        state.stack is stack and state.row == row for row, state in enumerate(states)
    ):
        return stack
    nothing = torch.zeros_like(stack.latents[0])
    return Stack(tuple(_stacked(states, place, nothing) for place in range(len(PARTS))))


def _stacked(states: Sequence[LatentState], place: int, nothing: Tensor) -> Tensor | None:
    """One part of each state; zero where a state lacks it. None if all do."""
    if all(state.stack.parts[place] is None for state in states):
        return None
    found = ((state.stack.parts[place], state.row) for state in states)
    return torch.stack([nothing if part is None else part[row] for part, row in found])


def calls_of(states: Sequence[LatentState]) -> Tensor:
    """The timestep and the weights of each state's next call, [N, 1 + PARTS * INPUTS]."""
    device = states[0].device
    return torch.stack([state.run.rows(device)[state.call] for state in states])


def advanced(
    states: Sequence[LatentState],
    before: Stack,
    calls: Tensor,
    outputs: Sequence[Term],
    noise: Tensor | None,
) -> Stack:
    """The parts of each state after its next call.

    Args:
        states: of the batch.
        before: their parts.
        calls: as of ``calls_of``.
        outputs: of the denoiser, one for each row of a picture, with its weight.
        noise: standard normal where a run draws some, [N, C, h, w]; None if none does.
    """
    made = joined(frozenset(state.run.patterns[state.call] for state in states)).parts
    inputs: list[Tensor | None] = [*before.parts, *[None] * (len(INPUTS) - len(PARTS))]
    inputs[NOISE] = noise
    sums = _Sums(inputs, outputs, calls[:, 1:, None, None, None], before.memory)
    after: list[Tensor | None] = [None for _ in PARTS]
    for place, found_at in ORDER:
        after[place] = sums.of(place, made[place])
        if found_at is not None:
            sums.inputs[found_at] = after[place]
    return before.followed_by(tuple(after))


def move_on(states: Sequence[LatentState], after: Stack) -> None:
    """Give each state its parts after a call. It cannot fail, so a batch that does is tried again from where it was."""
    for row, state in enumerate(states):
        state.stack, state.row = after, row
        state.call += 1


@dataclass(frozen=True, eq=False)
class _Sums:
    """Weighted sums of the inputs of a call.

    Attributes:
        inputs: by their place in INPUTS, [N, C, h, w] each.
        outputs: in place of the denoiser's combined one.
        weights: of the inputs in each part, [N, PARTS * INPUTS, 1, 1, 1].
        memory: for a sum.
    """

    inputs: list[Tensor | None]
    outputs: Sequence[Term]
    weights: Tensor
    memory: Callable[[], Tensor]

    def of(self, place: int, made: Made) -> Tensor | None:
        """A part; None if no picture has it."""
        if not isinstance(made, tuple):
            return None if made is None else self.inputs[made]
        total: Tensor | None = None
        for value, weight in (term for number in made for term in self._terms(place, number)):
            total = (
                torch.mul(value, weight, out=self.memory())
                if total is None
                else total.addcmul_(value, weight)
            )
        return total

    def _terms(self, place: int, number: int) -> Sequence[Term]:
        weight = self.weights.select(1, place * len(INPUTS) + number)
        if number == OUTPUT:
            return [(output, weight * share) for output, share in self.outputs]
        value = self.inputs[number]
        assert value is not None
        return [(value, weight)]
