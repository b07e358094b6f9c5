"""Published guidance methods as rows of data: requests name a row, and may override its parameters.

All are cases of one rule (``worker/sampling/rule.py``). With x_t the noisy latents, x0 their denoised estimate, L the
weighted sum of the objectives, and s = sqrt(1 - abar):

    noisy gradient:     rho * factor * dL/dx_t, back through the UNet
    denoised gradient:  mu * factor * dL/dx0, ``iterations`` times, each from where the last one led

A preset fixes the convention: the function to differentiate, the variable that takes the gradient, and the units. So a
scale has no meaning in another preset.
"""

from typing import Any, Literal, Self

from jobs.requests.parameters import GuidanceParameters
from jobs.requests.schedules import most_cutouts

PresetName = Literal[
    "laion", "diffusers", "crowson", "disco", "mpgd", "freedom", "universal", "tfg", "polyak", "fast", "broad",
    "mpgd_broad", "freedom_broad", "universal_broad",
    "FAST_BLUE", "FAST_GREEN", "NONE", "SIMPLE", "SLOW", "SLOWER", "SLOWEST",
]  # fmt: skip
Factor = Literal["1", "s", "s2", "sigma", "sigma2", "sqrt_alpha", "alpha", "beta"]
PixelProperty = Literal["tv", "range", "saturation"]


class GuidancePreset(GuidanceParameters):
    """One method: its convention, and its published parameters.

    Attributes:
        source: the publication, and the differences from it.
        applied: what the gradients change. "estimate": x0, or the predicted noise for the noisy gradient, and the
            sampler goes on from the changed estimate. "latents": the latents after the sampler's step, as in TFG, the
            predicted noise being kept.
        rho_factor: multiplies rho at each step: 1, s, s^2, sigma = s / sqrt(abar), sigma^2, sqrt(alpha), or
            alpha or 1 - alpha of the step divided by its mean over the run.
        mu_factor: multiplies mu, likewise.
        normalize: "none"; "rms" divides a gradient by its root mean square; "clamp" bounds that of scale * gradient;
            "cfg" makes it that of cfg_scale * (conditional - unconditional output); "polyak" makes it as long as would
            bring the loss to 0 if that were linear.
        through: prediction that the noisy gradient differentiates: the conditional one, or that of classifier-free
            guidance.
        blend: whether the loss is of s * x0 + (1 - s) * x_t instead of x0.
        reduction: over the cutouts of a step.
        augmentation: motion and tint of the cutouts.
        inner_grey: share of crops that are grey, as a schedule.
        regularizers: objectives besides the prompt, with their weights relative to it.
    """

    source: str
    applied: Literal["estimate", "latents"] = "estimate"
    rho_factor: Factor = "1"
    mu_factor: Factor = "1"
    normalize: Literal["none", "rms", "clamp", "cfg", "polyak"] = "none"
    through: Literal["conditional", "cfg"] = "cfg"
    blend: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    augmentation: Literal["none", "laion", "disco"] = "none"
    inner_grey: str = "0"
    regularizers: tuple[tuple[PixelProperty, float], ...] = ()

    @property
    def cutouts(self) -> int:
        """Cutouts at the step that has most."""
        return most_cutouts(self.overview_cuts, self.inner_cuts)

    @property
    def target(self) -> str:
        """The variable of the gradient: "denoised", "noisy", or both."""
        return " and ".join(name for name, weight in (("noisy", self.rho), ("denoised", self.mu)) if weight)

    def parameters(self) -> dict[str, Any]:
        """The parameters that a request may override."""
        return {name: getattr(self, name) for name in GuidanceParameters.model_fields}

    def but(self, **changes: Any) -> Self:
        """The method with other values; ValidationError if there is no such value."""
        return type(self).model_validate(self.model_dump() | changes)


def _method(**values: Any) -> GuidancePreset:
    """The rule with every unnamed parameter off."""
    off = {
        "rho": 0.0,
        "mu": 0.0,
        "clamp": 0.05,
        "start": 0.0,
        "end": 1.0,
        "last_step": True,
        "stride": 1,
        "reuse": False,
        "patience": 0,
        "recurrences": 1,
        "iterations": 1,
        "smoothing": 0.0,
        "smoothing_samples": 1,
        "blur": 0.0,
        "overview_cuts": "0",
        "inner_cuts": "0",
        "cut_pow": 1.0,
        "stratified": False,
        "decoder": "vae",
    }
    return GuidancePreset.model_validate(off | values)


def _broadly(method: str) -> dict[str, Any]:
    """For the second preset of a method that gains nothing at its published numbers."""
    source = f"the method of {method}, applied as broad is; numbers ours"
    return {"source": source, "start": 0.0, "end": 1.0, "last_step": False, "overview_cuts": "4", "blur": 0.1}


_LAION = _method(
    source="LAION, Guiding Stable Diffusion with OpenCLIP H & g, 2022; how cutouts are averaged, their noise and the "
    "gradient's unit were not published",
    scale=0.1,
    mu=1.0,
    normalize="rms",
    overview_cuts="48",
    augmentation="laion",
)
_FAST = _LAION.but(
    source="ours: the method of laion at a fraction of its cost, late in the run, so that later steps do not undo "
    "it",
    scale=0.2,
    start=0.6,
    last_step=False,
    stride=2,
    overview_cuts="4",
)
_BROAD = _LAION.but(
    source="ours: the method of laion in broad strokes, from the start: its gradient is blurred while the shape is "
    "decided, and ten times as strong; for a text that the model itself does not know",
    scale=1.0,
    last_step=False,
    stride=2,
    overview_cuts="4",
    blur=0.1,
)
_MPGD = _method(
    source="He et al., Manifold Preserving Guided Diffusion, ICLR 2024; step sizes as FreeDoM's",
    scale=0.2,
    applied="latents",
    mu=1.0,
    normalize="cfg",
    start=0.3,
    end=0.7,
    overview_cuts="1",
)
_FREEDOM = _method(
    source="Yu et al., FreeDoM: Training-Free Energy-Guided Conditional Diffusion Model, ICCV 2023",
    scale=0.2,
    applied="latents",
    rho=1.0,
    rho_factor="sqrt_alpha",
    normalize="cfg",
    start=0.3,
    end=0.7,
    overview_cuts="1",
)
_UNIVERSAL = _method(
    source="Bansal et al., Universal Guidance for Diffusion Models, 2023, as for style with CLIP: forward only",
    scale=6.0,
    rho=1.0,
    rho_factor="s",
    recurrences=6,
    overview_cuts="1",
)
_RUNG = _LAION.but(last_step=False)
_STABILITY = "a name of Stability's API, whose meaning was not published; here {}"

PRESETS: dict[PresetName, GuidancePreset] = {
    "laion": _LAION,
    "diffusers": _method(
        source="Hugging Face, clip_guided_stable_diffusion among the community pipelines of diffusers, 2022",
        scale=100.0,
        rho=1.0,
        rho_factor="s",
        through="conditional",
        blend=True,
        inner_cuts="4",
    ),
    "crowson": _method(
        source="Katherine Crowson, CLIP Guided Diffusion notebooks, 2021, for DDIM; made for pixels, not for latents",
        scale=1000.0,
        rho=1.0,
        rho_factor="s",
        blend=True,
        inner_cuts="16",
        regularizers=(("tv", 0.15), ("range", 0.05)),
    ),
    "disco": _method(
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
    "mpgd": _MPGD,
    "freedom": _FREEDOM,
    "universal": _UNIVERSAL,
    "tfg": _method(
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
    "polyak": _method(
        source="Shen et al., Understanding and Improving Training-free Loss-based Diffusion Guidance, NeurIPS 2024: "
        "20 random augmentations, Polyak steps, and time travel; scale and window ours",
        scale=0.05,
        rho=1.0,
        normalize="polyak",
        start=0.2,
        end=0.7,
        recurrences=4,
        overview_cuts="20",
        augmentation="laion",
    ),
    "fast": _FAST,
    "broad": _BROAD,
    "mpgd_broad": _MPGD.but(scale=0.3, stride=2, **_broadly("mpgd")),
    "freedom_broad": _FREEDOM.but(scale=0.1, **_broadly("freedom")),
    "universal_broad": _UNIVERSAL.but(scale=600.0, recurrences=2, **_broadly("universal")),
    "FAST_BLUE": _FAST.but(source=_STABILITY.format("fast")),
    "FAST_GREEN": _FAST.but(source=_STABILITY.format("fast at every third step"), stride=3),
    "NONE": _LAION.but(source=_STABILITY.format("no guidance"), scale=0.0),
    "SIMPLE": _RUNG.but(source=_STABILITY.format("SLOWEST with 4 cutouts"), overview_cuts="4"),
    "SLOW": _RUNG.but(source=_STABILITY.format("SLOWEST with 16 cutouts"), overview_cuts="16"),
    "SLOWER": _RUNG.but(source=_STABILITY.format("SLOWEST with 32 cutouts"), overview_cuts="32"),
    "SLOWEST": _RUNG.but(source=_STABILITY.format("laion at all steps but the last")),
}

DEFAULT_PRESETS: tuple[PresetName, ...] = ("fast", "laion")
"""Those of guidance that names none: the first that guides a step of the run, `fast` for its gain at its cost."""
