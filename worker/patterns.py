"""A run as weights, and what each part of a state is made of at a call: a batch computes no more than that."""

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

# Parts of a state: the latents, the value of the last step, the latents at its start, the values of the steps before.
PARTS = ("x", "past 0", "start", "past 1", "past 2", "past 3")
# Parts that others may be made of once they are made themselves.
REUSED = ("past 0", "start")
INPUTS = (*PARTS, "output", "noise", *(f"next {part}" for part in REUSED))  # of a call
X, OUTPUT, NOISE = (INPUTS.index(name) for name in ("x", "output", "noise"))
# In which the parts are made: by place in PARTS, with the place among INPUTS where others find it.
ORDER = (
    *((PARTS.index(part), INPUTS.index(f"next {part}")) for part in REUSED),
    *((place, None) for place, part in enumerate(PARTS) if part not in REUSED),
)

# A weighted sum of these inputs; one input as it is; or nothing, for a part that no later call asks for.
Made = tuple[int, ...] | int | None


@dataclass(frozen=True, eq=False)
class Pattern:
    """How a call makes the parts of a state.

    Attributes:
        parts: by their place in PARTS.
        terms: of each part, the inputs whose weight is not zero.
    """

    parts: tuple[Made, ...]
    terms: tuple[tuple[int, ...], ...]


def pattern(weights: Tensor, moved: frozenset[int]) -> Pattern:
    """The pattern of one call.

    Args:
        weights: of the inputs in each part, [PARTS, INPUTS].
        moved: the parts that guidance moves after a step, in place. So none of them is the latents before the call
            under another name, which the call's prediction holds; and no two parts are one tensor.
    """
    parts: list[Made] = []
    terms = []
    for place, row in enumerate(weights.tolist()):
        own = tuple(number for number, weight in enumerate(row) if weight)
        is_same = len(own) == 1 and row[own[0]] == 1 and own[0] < len(PARTS)
        is_free = is_same and own[0] not in parts and not (place in moved and own[0] == X)
        parts.append(own[0] if is_free else (own or None))
        terms.append(own)
    return _one(tuple(parts), tuple(terms))


@lru_cache(maxsize=4096)
def _one(parts: tuple[Made, ...], terms: tuple[tuple[int, ...], ...]) -> Pattern:
    """One object for equal patterns, so that a batch's are told apart at once."""
    return Pattern(parts, terms)


@lru_cache(maxsize=4096)
def joined(patterns: frozenset[Pattern]) -> Pattern:
    """The pattern of a batch, in which a weight of zero takes the terms that another picture has out of a sum.

    A part is an input as it is if that holds for all pictures that have it. The others get that input too, and no call
    of theirs asks for it.
    """
    parts: list[Made] = []
    terms = []
    for place in range(len(PARTS)):
        made = {each.parts[place] for each in patterns} - {None}
        union = tuple(sorted({number for each in patterns for number in each.terms[place]}))
        only = next(iter(made)) if len(made) == 1 else None
        parts.append(only if isinstance(only, int) else (union or None))
        terms.append(union)
    return Pattern(tuple(parts), tuple(terms))


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A run as weights.

    Attributes:
        weights: of the inputs in each part of the state after a call, [calls, PARTS, INPUTS], float32 on the CPU.
        timesteps: of the calls, [calls], likewise.
        moves: the parts that move with the latents after a step, each with its weight, for each step.
        patterns: what each call makes the parts of.
    """

    weights: Tensor
    timesteps: Tensor
    moves: tuple[tuple[tuple[int, float], ...], ...]
    patterns: tuple[Pattern, ...] = field(init=False)
    _rows: dict[torch.device, tuple[Tensor, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Find the patterns."""
        moved = frozenset(part for step in self.moves for part, _ in step)
        object.__setattr__(self, "patterns", tuple(pattern(call, moved) for call in self.weights))

    def rows(self, device: torch.device) -> tuple[Tensor, ...]:
        """A row for each call: its timestep, then its weights, [1 + PARTS * INPUTS]; uploaded once."""
        if device not in self._rows:
            flat = torch.cat([self.timesteps[:, None], self.weights.flatten(1)], dim=1)
            self._rows[device] = flat.to(device).unbind()
        return self._rows[device]
