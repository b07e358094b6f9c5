"""Fits a text encoder in one go, where a worker fits it in slices."""

import math
from typing import Any

from torch import Tensor
from torch.nn import Module

from worker.aesthetics.fitting import Fitting


def tuned_states(
    encoder: Module, projection: Tensor, tokens: Tensor, direction: Tensor, **options: Any
) -> Tensor:
    """The last hidden states [N, L, D] of a text encoder after T steps of Adam; arguments as of ``Fitting``."""
    fitting = Fitting(encoder, projection, tokens, direction, **options)
    fitting.advance(math.inf)
    return fitting.states()
