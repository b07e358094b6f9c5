"""The guidance rule: how gradients change a picture. Every published method is a case of it.

A preset (``jobs/requests/presets.py``) selects the case. In the notation of ``worker/sampling/step.py``, with the
estimate x0 of the clean latents and g() the scaled gradient:

    D  = rho * factor * g(dL/dx)                            with respect to the noisy latents
    d  = - sum of mu * factor * g(dL/dx0)                   with respect to the estimate, each iteration at x0 + d

    applied to the estimate:  eps += D, x0 += d, and the solver goes on from there:
                              x' += a' * (1 - contraction) * (d - sigma * D)
    applied to the latents:   x' += a' * d - D / sqrt(alpha)

The second is TFG's (Ye et al. 2024, algorithm 1). With rho = 0 and one iteration it is MPGD; with mu = 0 and a factor
of sqrt(alpha) it is FreeDoM, with recurrences its time travel; with mu = 0 and other factors it is DPS, and smoothed
LGD. The first with rho is Universal Guidance's forward part, with mu its backward part.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from jobs.requests.presets import Factor, GuidancePreset
from worker.sampling.step import Step


def factor(name: Factor, index: int, steps: Sequence[Step]) -> float:
    """The factor of the gradient at step ``index`` of a run."""
    step = steps[index]
    match name:
        case "1":
            return 1.0
        case "s":
            return step.s
        case "s2":
            return step.s**2
        case "sigma":
            return step.sigma
        case "sigma2":
            return step.sigma**2
        case "sqrt_alpha":
            return math.sqrt(step.alpha)
        case "alpha":
            return step.alpha * len(steps) / sum(other.alpha for other in steps)
        case "beta":
            return step.beta * len(steps) / sum(other.beta for other in steps)


def rms(values: Tensor) -> Tensor:
    """Root mean square of each picture, [B, 1, 1, 1].

    Args:
        values: [B, C, h, w].
    """
    return values.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def scaled_gradient(
    gradient: Tensor, preset: GuidancePreset, *, loss: float, scale: float, clamp: float, correction: Tensor
) -> Tensor:
    """A gradient g, normalised as its preset says and scaled, [B, C, h, w]; zero stays zero.

    Args:
        gradient: [B, C, h, w].
        preset: selects the normalisation.
        loss: at which the gradient was taken, for "polyak" (Polyak 1969, with 0 as the least loss).
        scale: strength.
        clamp: bound of the root mean square, for "clamp".
        correction: the term of classifier-free guidance in the UNet's output, [B, C, h, w], for "cfg".
    """
    size = rms(gradient).clamp(min=1e-20)
    match preset.normalize:
        case "none":
            return scale * gradient
        case "rms":
            return scale * gradient / size
        case "cfg":
            return scale * rms(correction) * gradient / size
        case "polyak":
            return scale * loss * gradient / (gradient[0].numel() * size.square())
        case "clamp":
            return gradient * (clamp / size).clamp(max=scale)


def start(preset: GuidancePreset, step: Step, noisy: Tensor | None) -> Tensor | float:
    """The displacement d of x0 before the first iteration: -sigma D if D applies to the estimate, else 0."""
    return -step.sigma * noisy if noisy is not None and preset.applied == "estimate" else 0.0


def shift(
    preset: GuidancePreset, step: Step, noisy: Tensor | None, displacement: Tensor | float
) -> Tensor | float:
    """The change of the latents after a step, [B, C, h, w].

    Args:
        preset: selects what the gradients apply to.
        step: the step.
        noisy: D, [B, C, h, w]; None without it.
        displacement: d, [B, C, h, w]; with -sigma D where D applies to the estimate.
    """
    carried = step.a_next
    if preset.applied == "estimate":
        return carried * (1 - step.contraction) * displacement
    return carried * displacement - (0.0 if noisy is None else noisy / math.sqrt(step.alpha))
