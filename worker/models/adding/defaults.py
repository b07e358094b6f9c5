"""The defaults of a checkpoint's entry in the catalog, from what it says of itself."""

import re
from collections.abc import Mapping
from typing import Any

from jobs.requests.conditions.families import FamilyName, ModelKind
from jobs.requests.samplers import SCHEDULES, SamplerName, ScheduleName
from worker.models.adding.checkpoints import Checkpoint
from worker.models.families.compatibility import takes_guidance
from worker.models.families.family import Parts
from worker.models.families.pixels import pixels_a_side
from worker.models.families.table import kind_of

SMALLEST_PX, LARGEST_PX = 8, 4096
ZERO_SNR_RESCALE = 0.7  # Lin et al. 2024, sec. 3.4
FEW_STEPS = 4

_SAMPLERS = {
    "DDIMScheduler": SamplerName.DDIM,
    "DDPMScheduler": SamplerName.DDPM,
    "DPMSolverMultistepScheduler": SamplerName.DPMPP_2M,
    "DPMSolverSDEScheduler": SamplerName.DPMPP_SDE,
    "EulerAncestralDiscreteScheduler": SamplerName.EULER_ANCESTRAL,
    "EulerDiscreteScheduler": SamplerName.EULER,
    "HeunDiscreteScheduler": SamplerName.HEUN,
    "KDPM2AncestralDiscreteScheduler": SamplerName.DPM2_ANCESTRAL,
    "KDPM2DiscreteScheduler": SamplerName.DPM2,
    "LCMScheduler": SamplerName.LCM,
    "LMSDiscreteScheduler": SamplerName.LMS,
    "PNDMScheduler": SamplerName.PNDM,
    "TCDScheduler": SamplerName.TCD,
    "UniPCMultistepScheduler": SamplerName.UNIPC,
}
_SPREADS = {
    "use_karras_sigmas": ScheduleName.KARRAS,
    "use_exponential_sigmas": ScheduleName.EXPONENTIAL,
    "use_beta_sigmas": ScheduleName.BETA,
}
# How models of few steps are sampled, by a word of their names (docs/models.md#few-steps).
_FEW: dict[str, tuple[SamplerName, ScheduleName]] = {
    "lightning": (SamplerName.EULER, ScheduleName.SGM_UNIFORM),
    "hyper": (SamplerName.EULER, ScheduleName.SGM_UNIFORM),
    "turbo": (SamplerName.EULER_ANCESTRAL, ScheduleName.SGM_UNIFORM),
    "lcm": (SamplerName.LCM, ScheduleName.DEFAULT),
    "tcd": (SamplerName.TCD, ScheduleName.DEFAULT),
}
_NAMED = {
    "lightning": re.compile(r"lightning"),
    "hyper": re.compile(r"(?<![a-z])hyper[ _-]?(sd|\d)"),
    "turbo": re.compile(r"(?<![a-z])turbo"),
    "lcm": re.compile(r"(?<![a-z])lcm(?![a-z])"),
    "tcd": re.compile(r"(?<![a-z])tcd(?![a-z])"),
}
_STEPS = re.compile(r"(\d{1,2})[ _-]?steps?(?![a-z])")


def defaults_of(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """The fields of a checkpoint's entry that requests fall back on.

    Args:
        checkpoint: of it.
        name: that it is published under; that of a model of few steps tells so.
    """
    scheduler = checkpoint.parts["scheduler"]
    fields = _sizes(checkpoint)
    if checkpoint.family.id.reads_texts:  # the others have their family's, whichever scheduler trained them
        fields |= _sampling(type(scheduler).__name__, scheduler.config)
    few = _few_steps(type(scheduler).__name__, name)
    if few is not None:
        sampler, schedule = _FEW[few]
        said = _STEPS.search(name.lower())
        fields |= {"steps": int(said[1]) if said else FEW_STEPS, "cfg_scale": 1.0}
        fields |= {"sampler": sampler, "schedule": schedule}
    if takes_guidance(checkpoint.parts["unet"].config):
        # The defaults of such models follow from it (``jobs/catalog/families.py``).
        fields = _sizes(checkpoint) | {"cfg_embedded": True}
    if scheduler.config.get("rescale_betas_zero_snr"):
        fields["guidance_rescale"] = ZERO_SNR_RESCALE
    if checkpoint.family.id is not FamilyName.SD:
        fields["family"] = checkpoint.family.id
    if (kind := kind_of(checkpoint.parts)) is not ModelKind.TEXT:
        fields["kind"] = kind
    return {key: str(value) if isinstance(value, str) else value for key, value in fields.items()}


def is_of_few_steps(fields: Mapping[str, Any]) -> bool:
    """Whether these defaults are those of a model of few steps."""
    return fields.get("cfg_scale") == 1.0 or bool(fields.get("cfg_embedded"))


def _sizes(checkpoint: Checkpoint) -> dict[str, Any]:
    """The size that the UNet was trained with, from half to double of it on each side."""
    unet = checkpoint.parts["unet"].config
    factor, multiple = _units(checkpoint.parts)
    trained = unet.sample_size or 64
    height, width = (trained, trained) if isinstance(trained, int) else trained
    width, height = (min(side * factor, LARGEST_PX) // multiple * multiple for side in (width, height))
    least = max(SMALLEST_PX, min(width, height) // 2 // multiple * multiple)
    most = min(LARGEST_PX, 2 * max(width, height))
    sizes = {"width": width, "height": height, "min_px": least, "max_px": most}
    return sizes if multiple == 8 and "vae" in checkpoint.parts else {**sizes, "multiple_px": multiple}


def _units(parts: Parts) -> tuple[int, int]:
    """Pixels along one side of a latent, and those that a side of a picture is a multiple of."""
    unet = parts["unet"].config
    if "vae" not in parts:
        factor = pixels_a_side(unet)
        return factor, max(8, factor << (len(unet.block_out_channels) - 1))
    factor = 2 ** (len(parts["vae"].config.block_out_channels) - 1)
    return factor, max(8, factor)


def _sampling(scheduler: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The sampler and the schedule of diffusers' scheduler; nothing for one that has no like."""
    sampler = _SAMPLERS.get(scheduler)
    if sampler is None:
        return {}
    if sampler is SamplerName.DPMPP_2M and "sde" in str(config.get("algorithm_type")):
        sampler = SamplerName.DPMPP_3M_SDE if config.get("solver_order") == 3 else SamplerName.DPMPP_2M_SDE
    spread = next((schedule for field, schedule in _SPREADS.items() if config.get(field)), None)
    if spread is None or spread not in SCHEDULES[sampler]:
        return {"sampler": sampler}
    return {"sampler": sampler, "schedule": spread}


def _few_steps(scheduler: str, name: str) -> str | None:
    """The kind of a model of few steps; None for any other."""
    named = next((kind for kind, pattern in _NAMED.items() if pattern.search(name.lower())), None)
    return named or {"LCMScheduler": "lcm", "TCDScheduler": "tcd"}.get(scheduler)
