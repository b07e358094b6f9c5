"""Fits a text encoder in one go, where a worker fits it in slices."""

import math
from typing import Any

from torch import Tensor
from torch.nn import Module

from worker.aesthetics.fitting import Fitting
from worker.models.families.text_encoder import last_states


def tuned_states(
    encoder: Module, projection: Tensor, tokens: Tensor, direction: Tensor, **options: Any
) -> Tensor:
    """The last hidden states [N, L, D] of a text encoder after T steps of Adam; arguments as of ``Fitting``."""
    fitting = Fitting(encoder, projection, tokens, direction, read=last_states, **options)
    fitting.advance(math.inf)
    return fitting.states()
