"""Values that a strategy makes up, the same ones for the same seed."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy


def draw(strategy: SearchStrategy[Any], number: int, run_seed: int, use: Callable[[Any], None]) -> None:
    """Hand up to `number` values to `use`.

    How long a value takes, and how large it is, stops nothing: a run draws for its calls, and tests nothing here.
    """

    @seed(run_seed)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(value: Any) -> None:
        use(value)

    each()
