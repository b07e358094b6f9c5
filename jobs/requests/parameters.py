"""The parameters of guidance that a preset sets and a request may override."""

from typing import Literal

from pydantic import Field

from jobs.wire import Wire

Decoder = Literal["vae", "linear"]


class GuidanceParameters(Wire):
    """The parameters of guidance, each with a value.

    In the symbols of ``worker/sampling/rule.py``: x_t the noisy latents, x0 their denoised estimate, L the loss, and
    s = sqrt(1 - abar) the noise level of a step.
    """

    scale: float = Field(
        description="Strength of guidance, in the preset's own convention; 0 turns it off.",
        examples=[0.1],
    )
    overview_cuts: str = Field(
        description="Cutouts of the whole picture at each step: a number, or a schedule over the run such as "
        "`[12]*400+[4]*600`.",
        examples=["[12]*400+[4]*600"],
    )
    inner_cuts: str = Field(
        description="Random crops at each step: a number, or a schedule over the run.",
        examples=["[4]*400+[12]*600"],
    )
    # A crop's side is u ** cut_pow of the way from CLIP's input size to the picture's shorter side, u in [0, 1].
    cut_pow: float = Field(
        description="Exponent of the crop-size distribution: larger values favour smaller crops; 1 is uniform.",
        examples=[1.0],
    )
    stratified: bool = Field(
        description="Spread the crop sizes of a step evenly, instead of drawing each by itself."
    )
    start: float = Field(
        description="Fraction of the run at which guidance begins; 0 is pure noise.",
        examples=[0.0],
    )
    end: float = Field(
        description="Fraction of the run at which guidance ends; 1 is the finished picture.",
        examples=[1.0],
    )
    last_step: bool = Field(
        True,
        description="Guide the last step too. No later step refines its gradient, so the gradient may show.",
    )
    stride: int = Field(description="Steps from one gradient to the next.", examples=[2])
    reuse: bool = Field(description="Repeat the last gradient at the steps in between.")
    patience: int = Field(
        description="Stop guiding after this many gradients without a lower loss; 0 never stops.",
        examples=[3],
    )
    recurrences: int = Field(
        description="Times that a guided step is taken, with noise added again in between.",
        examples=[1],
    )
    iterations: int = Field(
        description="Gradient steps on the denoised latents within a sampling step.",
        examples=[1],
    )
    rho: float = Field(
        description="Weight of the gradient with respect to the noisy latents; 0 saves the pass back through the UNet.",
        examples=[0.25],
    )
    mu: float = Field(
        description="Weight of the gradient with respect to the denoised latents.",
        examples=[2.0],
    )
    clamp: float = Field(
        description="Upper bound of the gradient's root mean square, for presets that clamp it.",
        examples=[0.05],
    )
    # TFG's gamma-bar: exp(-L) is averaged over x0 + smoothing * s * noise.
    smoothing: float = Field(
        description="Standard deviation of noise on the denoised latents over which the loss is averaged, in units of "
        "the step's noise level; 0 adds none.",
        examples=[0.1],
    )
    smoothing_samples: int = Field(description="Samples of this noise.", examples=[4])
    blur: float = Field(
        0.0,
        description="Standard deviation of a Gaussian that smooths the gradient of the picture, as a share of its "
        "shorter side. It falls to 0 over the run, so that outlines come before details; 0 smooths nothing.",
        examples=[0.1],
    )
    decoder: Decoder = Field(
        description="Decoder between latents and CLIP: `vae`, or `linear`, a coarse one for the gradient only, at "
        "almost no cost."
    )

    def window(self, steps: int, first: int = 0) -> range:
        """The guided steps of a plan of ``steps``; every ``stride``-th of them takes a gradient.

        Args:
            steps: that are planned.
            first: number of the first that is run.
        """
        within = [index for index in range(first, steps) if self.start <= index / steps < self.end]
        if not (within and self.scale):
            return range(0)
        return range(within[0], min(within[-1] + 1, steps if self.last_step else steps - 1))
