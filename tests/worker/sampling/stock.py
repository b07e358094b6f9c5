"""Diffusers' own scheduler of each sampler: the oracle of the solvers' tests."""

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from jobs.requests.request import SamplerName

_STOCK: dict[SamplerName, tuple[Any, dict[str, Any]]] = {
    SamplerName.DDIM: (DDIMScheduler, {}),
    SamplerName.EULER: (EulerDiscreteScheduler, {}),
    SamplerName.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    SamplerName.HEUN: (HeunDiscreteScheduler, {}),
    SamplerName.LMS: (LMSDiscreteScheduler, {}),
    SamplerName.DPMPP_2M: (DPMSolverMultistepScheduler, {}),
    SamplerName.DPMPP_2M_KARRAS: (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    SamplerName.DPMPP_2M_SDE_KARRAS: (
        DPMSolverMultistepScheduler,
        {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++"},
    ),
    SamplerName.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
    SamplerName.UNIPC: (UniPCMultistepScheduler, {}),
}


def stock_scheduler(name: SamplerName, config: dict[str, Any]) -> Any:
    """Diffusers' scheduler of a sampler, for a model's scheduler configuration."""
    kind, options = _STOCK[name]
    return kind.from_config(config, **options)
