"""The UNet's prediction for a picture at one timestep, under classifier-free guidance."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """The UNet's outputs, with its inputs.

    Attributes:
        x: the UNet's input [1, C, h, w].
        timestep: [].
        context: the conditional row, then the unconditional one unless ``cfg_scale`` is 1: [R, L, D].
        outputs: [R, C, h, w].
        cfg_scale: w.
    """

    x: Tensor
    timestep: Tensor
    context: Tensor
    outputs: Tensor
    cfg_scale: float

    @property
    def weights(self) -> Tensor:
        """Weights of the rows in the combined output, [R, 1, 1, 1]; they sum to 1."""
        parts = [self.cfg_scale, 1 - self.cfg_scale] if len(self.outputs) == 2 else [1.0]
        return torch.tensor(parts, dtype=self.outputs.dtype).view(-1, 1, 1, 1)

    @property
    def output(self) -> Tensor:
        """The combined output u + w (c - u), [1, C, h, w] (Ho & Salimans 2022, eq. 6)."""
        if len(self.outputs) == 1:
            return self.outputs
        c, u = self.outputs[:1], self.outputs[1:]
        return u + self.cfg_scale * (c - u)

    @property
    def correction(self) -> Tensor:
        """The term w (c - u) of classifier-free guidance, [1, C, h, w]; zero without an unconditional row."""
        return self.cfg_scale * (self.outputs[:1] - self.outputs[-1:])

    def through(self, conditional_only: bool) -> "Prediction":
        """The prediction, or that of its conditional row alone."""
        if not conditional_only or len(self.outputs) == 1:
            return self
        return Prediction(self.x, self.timestep, self.context[:1], self.outputs[:1], 1.0)
