"""One step of the reverse diffusion, in one notation for all solvers.

Latents at a noise level are x = a x0 + s eps, of clean latents x0 and standard normal eps; sigma = s / a. A prime marks
the end of a step. Stable Diffusion preserves the variance: a^2 + s^2 = 1 and abar = a^2. Nothing here relies on that.
"""

import math
from dataclasses import dataclass

from torch import Tensor

# abar = a^2 of latents without any signal: some of diffusers' schedulers would divide by 0, and have this in its place.
PURE_NOISE = 2.0**-24


def is_noise_alone(a: float) -> bool:
    """Whether latents of this level have nothing of x0."""
    return a**2 < 2 * PURE_NOISE


@dataclass(frozen=True)
class Step:
    """One sampling step, from one noise level to the next.

    Attributes:
        timesteps: timesteps of the UNet's calls; two where a second call corrects the first.
        a: x = a x0 + s eps at the start.
        s: likewise.
        a_next: a' at the end.
        s_next: s' at the end.
        down: sigma_down, to which the step reduces the noise.
        up: sigma_up, of the fresh noise; sigma_down^2 + sigma_up^2 = sigma'^2.
        keep: x0 = keep * x + gain * output.
        gain: likewise.
        middle: the rest of the step, from the noise level of a second call within it; None if there is none.
    """

    timesteps: tuple[Tensor, ...]
    a: float
    s: float
    a_next: float
    s_next: float
    down: float
    up: float
    keep: float
    gain: float
    middle: "Step | None" = None

    @property
    def starts_from_noise_alone(self) -> bool:
        """Whether x has nothing of x0 yet."""
        return is_noise_alone(self.a)

    @property
    def sigma(self) -> float:
        """Noise at the start, relative to x0; infinite where x is pure noise."""
        return self.s / self.a if self.a else math.inf

    @property
    def sigma_next(self) -> float:
        """Noise at the end, relative to x0."""
        return self.s_next / self.a_next

    @property
    def goes_up(self) -> bool:
        """Whether it ends with more noise than it starts with."""
        return self.sigma_next > self.sigma

    @property
    def alpha(self) -> float:
        """Share of signal power that the forward process keeps from the end to the start: (a / a')^2."""
        return (self.a / self.a_next) ** 2

    @property
    def beta(self) -> float:
        """Variance of the noise that it adds there: s^2 - alpha s'^2 (Kingma et al. 2021, appendix A)."""
        return max(0.0, self.s**2 - self.alpha * self.s_next**2)

    @property
    def contraction(self) -> float:
        """Share of the predicted noise, relative to x0, that a first-order step keeps: sigma_down / sigma."""
        return self.down * self.a / self.s

    @property
    def log_snr(self) -> float:
        """Half the log signal-to-noise ratio at the start: the lambda of DPM-Solver."""
        return math.log(self.a / self.s)

    @property
    def log_snr_next(self) -> float:
        """Half the log signal-to-noise ratio at the end; infinite without noise."""
        return math.log(self.a_next / self.s_next) if self.s_next else math.inf

    def denoised(self, output: Tensor, x: Tensor) -> Tensor:
        """The estimate D of the clean latents that the UNet's output for x implies."""
        return self.keep * x + self.gain * output

    def output(self, denoised: Tensor, x: Tensor) -> Tensor:
        """The UNet's output that implies ``denoised``."""
        return (denoised - self.keep * x) / self.gain

    def noise(self, denoised: Tensor, x: Tensor) -> Tensor:
        """The noise eps in x around ``denoised``; also the slope dz / dsigma of z = x / a."""
        return (x - self.a * denoised) / self.s

    def first_order(self, x: Tensor, denoised: Tensor) -> Tensor:
        """The latents at the end for a constant estimate D, without fresh noise.

        a' (sigma_down (x / s) + (1 - sigma_down / sigma) D), the exact solution of the probability flow.
        """
        return (self.a_next * self.down / self.s) * x + (self.a_next * (1 - self.contraction)) * denoised
