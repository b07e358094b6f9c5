"""Published guidance methods as rows of data: requests name a row, and may override its numbers.

All are cases of one rule (``worker/sampling/rule.py``). With x_t the noisy latents, x0 their denoised estimate, L the
weighted sum of the objectives, and s = sqrt(1 - abar):

    noisy pull:     rho * factor * dL/dx_t, back through the UNet
    denoised pull:  mu * factor * dL/dx0, ``iterations`` times, each from where the last one led

A preset fixes the convention: what is differentiated, what the gradient is added to, and in which units. That is why
its scale means nothing in another.
"""

from dataclasses import dataclass, replace
from typing import Literal

from jobs.requests.schedules import most_cuts

PresetName = Literal[
    "laion", "diffusers", "crowson", "disco", "mpgd", "freedom", "universal", "tfg", "fast",
    "FAST_BLUE", "FAST_GREEN", "NONE", "SIMPLE", "SLOW", "SLOWER", "SLOWEST",
]  # fmt: skip
Factor = Literal["1", "s", "s2", "sigma", "sigma2", "sqrt_alpha", "alpha", "beta"]
PixelProperty = Literal["tv", "range", "saturation"]
Decoder = Literal["vae", "linear"]


@dataclass(frozen=True)
class GuidancePreset:
    """One method: its convention, and its published numbers.

    Attributes:
        source: where it was published, and what of it was not.
        scale: default strength; multiplies the loss.
        applied: what the pulls change. "estimate": x0, or the predicted noise for the noisy pull, and the sampler goes
            on from the changed estimate. "latents": the latents after the sampler's step, as in TFG, the noise that
            was predicted being kept.
        rho: weight of the noisy pull; 0 saves the way back through the UNet.
        rho_factor: what it is multiplied by at each step: 1, s, s^2, sigma = s / sqrt(abar), sigma^2, sqrt(alpha), or
            alpha or 1 - alpha of the step divided by its mean over the run.
        mu: weight of the denoised pull.
        mu_factor: likewise.
        normalize: "none"; "rms" divides a gradient by its root mean square; "clamp" bounds that of scale * gradient;
            "cfg" makes it that of cfg_scale * (conditional - unconditional output).
        clamp: the bound.
        through: which prediction the noisy pull differentiates, the conditional one or that of classifier-free
            guidance.
        blend: whether the loss looks at s * x0 + (1 - s) * x_t instead of x0.
        reduction: over the views of a step.
        start: guided from this part of the run on, 0 being pure noise.
        end: and before this one, 1 being the finished picture.
        last_step: whether the step that ends the run is guided too, whose gradient no other step refines.
        stride: every how many steps there is a new gradient.
        reuse: whether the steps in between repeat the last one.
        patience: guidance ends after so many gradients without a lower loss; 0 never ends it.
        recurrences: times that a guided step is taken, with noise added again in between.
        iterations: of the denoised pull.
        smoothing: standard deviation, times s, of noise on x0 over which exp(-L) is averaged.
        smoothing_samples: draws of it.
        overview_cuts: views of the whole picture at each step, as a schedule.
        inner_cuts: random crops at each step, as a schedule.
        cut_pow: crops have the size (u ** cut_pow) of the way from CLIP's input size to the shorter side, u in [0, 1].
        stratified: whether the u of a step are spread evenly instead of drawn one by one.
        augmentation: how views are moved and tinted.
        inner_grey: share of crops that are grey, as a schedule.
        regularizers: objectives besides the prompt, with their weights relative to it.
        decoder: "vae", or "linear" for a coarse decoder that costs next to nothing, for the gradient only.
    """

    source: str
    scale: float
    applied: Literal["estimate", "latents"] = "estimate"
    rho: float = 0.0
    rho_factor: Factor = "1"
    mu: float = 0.0
    mu_factor: Factor = "1"
    normalize: Literal["none", "rms", "clamp", "cfg"] = "none"
    clamp: float = 0.05
    through: Literal["conditional", "cfg"] = "cfg"
    blend: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    start: float = 0.0
    end: float = 1.0
    last_step: bool = True
    stride: int = 1
    reuse: bool = False
    patience: int = 0
    recurrences: int = 1
    iterations: int = 1
    smoothing: float = 0.0
    smoothing_samples: int = 1
    overview_cuts: str = "0"
    inner_cuts: str = "0"
    cut_pow: float = 1.0
    stratified: bool = False
    augmentation: Literal["none", "laion", "disco"] = "none"
    inner_grey: str = "0"
    regularizers: tuple[tuple[PixelProperty, float], ...] = ()
    decoder: Decoder = "vae"

    @property
    def cutouts(self) -> int:
        """Views at the step that has most."""
        return most_cuts(self.overview_cuts, self.inner_cuts)

    @property
    def target(self) -> str:
        """What the gradient is taken with respect to: "denoised", "noisy", or both."""
        return " and ".join(name for name, weight in (("noisy", self.rho), ("denoised", self.mu)) if weight)


_LAION = GuidancePreset(
    source="LAION, Guiding Stable Diffusion with OpenCLIP H & g, 2022; how views are averaged, their noise and the "
    "gradient's unit were not published",
    scale=0.1,
    mu=1.0,
    normalize="rms",
    overview_cuts="48",
    augmentation="laion",
)
_FAST = replace(
    _LAION,
    source="ours: the method of laion at a fraction of its cost, late in the run, where a nudge is not undone",
    scale=0.2,
    start=0.6,
    last_step=False,
    stride=2,
    overview_cuts="4",
)
_RUNG = replace(_LAION, last_step=False)
_STABILITY = "a name of Stability's API, whose meaning was not published; here {}"

PRESETS: dict[PresetName, GuidancePreset] = {
    "laion": _LAION,
    "diffusers": GuidancePreset(
        source="Hugging Face, clip_guided_stable_diffusion among the community pipelines of diffusers, 2022",
        scale=100.0,
        rho=1.0,
        rho_factor="s",
        through="conditional",
        blend=True,
        inner_cuts="4",
    ),
    "crowson": GuidancePreset(
        source="Katherine Crowson, CLIP Guided Diffusion notebooks, 2021, for DDIM; made for pixels, not for latents",
        scale=1000.0,
        rho=1.0,
        rho_factor="s",
        blend=True,
        inner_cuts="16",
        regularizers=(("tv", 0.15), ("range", 0.05)),
    ),
    "disco": GuidancePreset(
        source="Disco Diffusion 5, 2022; made for pixels, not for latents",
        scale=5000.0,
        rho=1.0,
        rho_factor="s",
        normalize="clamp",
        blend=True,
        overview_cuts="[12]*400+[4]*600",
        inner_cuts="[4]*400+[12]*600",
        augmentation="disco",
        inner_grey="[0.2]*400+[0]*600",
        regularizers=(("range", 0.03),),
    ),
    "mpgd": GuidancePreset(
        source="He et al., Manifold Preserving Guided Diffusion, ICLR 2024; step sizes as FreeDoM's",
        scale=0.2,
        applied="latents",
        mu=1.0,
        normalize="cfg",
        start=0.3,
        end=0.7,
        overview_cuts="1",
    ),
    "freedom": GuidancePreset(
        source="Yu et al., FreeDoM: Training-Free Energy-Guided Conditional Diffusion Model, ICCV 2023",
        scale=0.2,
        applied="latents",
        rho=1.0,
        rho_factor="sqrt_alpha",
        normalize="cfg",
        start=0.3,
        end=0.7,
        overview_cuts="1",
    ),
    "universal": GuidancePreset(
        source="Bansal et al., Universal Guidance for Diffusion Models, 2023, as for style with CLIP: forward only",
        scale=6.0,
        rho=1.0,
        rho_factor="s",
        recurrences=6,
        overview_cuts="1",
    ),
    "tfg": GuidancePreset(
        source="Ye et al., TFG: Unified Training-Free Guidance for Diffusion Models, NeurIPS 2024",
        scale=1.0,
        applied="latents",
        rho=0.25,
        rho_factor="alpha",
        mu=2.0,
        mu_factor="alpha",
        iterations=4,
        smoothing=0.1,
        overview_cuts="1",
    ),
    "fast": _FAST,
    "FAST_BLUE": replace(_FAST, source=_STABILITY.format("fast")),
    "FAST_GREEN": replace(_FAST, source=_STABILITY.format("fast at every third step"), stride=3),
    "NONE": replace(_LAION, source=_STABILITY.format("no guidance"), scale=0.0),
    "SIMPLE": replace(_RUNG, source=_STABILITY.format("SLOWEST with 4 views"), overview_cuts="4"),
    "SLOW": replace(_RUNG, source=_STABILITY.format("SLOWEST with 16 views"), overview_cuts="16"),
    "SLOWER": replace(_RUNG, source=_STABILITY.format("SLOWEST with 32 views"), overview_cuts="32"),
    "SLOWEST": replace(_RUNG, source=_STABILITY.format("laion at all steps but the last")),
}
