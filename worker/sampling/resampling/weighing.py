"""How particles are weighed (Singhal et al. 2025, sec. 4) and drawn anew (Douc & Cappe 2005, sec. 2.4)."""

import math
from collections.abc import Sequence

from jobs.requests.selection import Potential
from worker.events import Past

MOST = 16
"""Particles of a group: as many pictures of a job as are under way together, since all of a group meet."""


def log_potential(potential: Potential, before: Past, reward: float) -> float:
    """The logarithm of a particle's weight, over the strength; -inf for a reward that is not finite.

    Args:
        potential: which.
        before: the line's rewards until now.
        reward: the new one.
    """
    if not math.isfinite(reward):
        return -math.inf
    match potential:
        case Potential.DIFFERENCE:
            return reward - (0.0 if before.last is None else before.last)
        case Potential.MAX:
            return max(before.best, reward)
        case Potential.SUM:
            return before.total + reward


def shares(log_potentials: Sequence[float], strength: float) -> list[float]:
    """Probabilities in proportion to exp(strength x log potential); equal ones where none is finite."""
    finite = [value for value in log_potentials if math.isfinite(value)]
    if not finite:
        return [1 / len(log_potentials)] * len(log_potentials)
    # Particles without a reward have no chance at any strength.
    weights = [
        math.exp(strength * (value - max(finite))) if math.isfinite(value) else 0.0
        for value in log_potentials
    ]
    return [weight / sum(weights) for weight in weights]


def ancestors(probabilities: Sequence[float], start: float) -> list[int]:
    """The number of each new particle's ancestor, by systematic resampling.

    Each ancestor has the floor or the ceiling of N p descendants. A particle that survives keeps its place, so that
    its own noise goes on.

    Args:
        probabilities: of N particles, whose sum is 1.
        start: uniform in [0, 1).
    """
    count = len(probabilities)
    drawn, total, descendants = 0, 0.0, [0] * count
    for number, probability in enumerate(probabilities):
        total += probability
        while drawn < count and (drawn + start) / count < total:
            descendants[number] += 1
            drawn += 1
    descendants[max(range(count), key=lambda number: probabilities[number])] += (
        count - drawn
    )  # lost to rounding
    found: list[int | None] = [number if descendants[number] else None for number in range(count)]
    spare = [number for number in range(count) for _ in range(descendants[number] - 1)]
    return [spare.pop(0) if number is None else number for number in found]
