"""The quantile function of the beta distribution with equal shapes, without a library of statistics."""

import math

_TERMS = 200  # of a series whose terms at least halve
_HALVINGS = 60  # of an interval, down to the spacing of doubles


def beta_quantile(share: float, shape: float) -> float:
    """The x that a Beta(shape, shape) variable stays below with probability ``share``, which lies in [0, 1]."""
    if share > 1 / 2:
        return 1 - beta_quantile(1 - share, shape)
    low, high = 0.0, 1 / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_distribution(middle, shape) < share else (low, middle)
    return high


def _beta_distribution(x: float, shape: float) -> float:
    """The regularised incomplete beta function I_x(shape, shape) for x up to 1/2.

    By its power series, x^a / (a B(a, b)) 2F1(a, 1 - b; a + 1; x) (Abramowitz & Stegun 1964, 26.5.4 and 15.1.1).
    """
    factor, total = 1.0, 0.0
    for n in range(_TERMS):
        total += factor / (shape + n)
        factor *= (n + 1 - shape) / (n + 1) * x
    return math.pow(x, shape) * total * math.gamma(2 * shape) / math.gamma(shape) ** 2
