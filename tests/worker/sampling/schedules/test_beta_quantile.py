"""The quantiles of the beta distribution against those of scipy."""

import pytest
from scipy import stats  # type: ignore[import-untyped]

from worker.sampling.schedules.beta_quantile import beta_quantile


@pytest.mark.parametrize("shape", [0.3, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("share", [0.0, 1e-6, 0.01, 0.3, 0.5, 0.7, 0.99, 1.0])
def test_quantiles_are_those_of_scipy(share: float, shape: float) -> None:
    assert beta_quantile(share, shape) == pytest.approx(stats.beta.ppf(share, shape, shape), abs=1e-9)
