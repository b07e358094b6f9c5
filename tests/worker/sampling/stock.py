"""Diffusers' own scheduler of each sampler and noise schedule: the oracle of the solvers' tests."""

from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2AncestralDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LCMScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

from jobs.requests.samplers import SCHEDULES, SamplerName, ScheduleName

Sampling = tuple[SamplerName, ScheduleName]


class AncestralWithSchedules(EulerAncestralDiscreteScheduler):
    """Diffusers' ancestral Euler knows no schedule but its own; so this takes the levels of its plain Euler."""

    def __init__(self, *, levels: EulerDiscreteScheduler, **config: Any) -> None:
        super().__init__(**config)
        self._levels = levels

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        self._levels.set_timesteps(*args, **options)
        self.timesteps, self.sigmas = self._levels.timesteps, self._levels.sigmas


_STOCK: dict[SamplerName, tuple[Any, dict[str, Any]]] = {
    SamplerName.DDIM: (DDIMScheduler, {}),
    SamplerName.EULER: (EulerDiscreteScheduler, {}),
    SamplerName.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    SamplerName.HEUN: (HeunDiscreteScheduler, {}),
    SamplerName.LMS: (LMSDiscreteScheduler, {}),
    SamplerName.DPMPP_2M: (DPMSolverMultistepScheduler, {}),
    SamplerName.DPMPP_2M_SDE: (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    SamplerName.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
    SamplerName.UNIPC: (UniPCMultistepScheduler, {}),
    SamplerName.DDPM: (DDPMScheduler, {}),
    SamplerName.DPM2: (KDPM2DiscreteScheduler, {}),
    SamplerName.DPM2_ANCESTRAL: (KDPM2AncestralDiscreteScheduler, {}),
    SamplerName.DPMPP_2M_SDE_HEUN: (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
    ),
    SamplerName.LCM: (LCMScheduler, {}),
    SamplerName.TCD: (TCDScheduler, {}),
}
_OPTIONS = {
    ScheduleName.DEFAULT: {},
    ScheduleName.KARRAS: {"use_karras_sigmas": True},
    ScheduleName.EXPONENTIAL: {"use_exponential_sigmas": True},
}
# Diffusers rounds the timesteps of Karras' and exponential levels for its DPM2, and for its Euler it does not.
_DPM2 = (SamplerName.DPM2, SamplerName.DPM2_ANCESTRAL)
SAMPLINGS: list[Sampling] = [
    (sampler, schedule)
    for sampler in _STOCK
    for schedule in _OPTIONS
    if schedule in SCHEDULES[sampler] and (schedule is ScheduleName.DEFAULT or sampler not in _DPM2)
]


def stock_scheduler(sampling: Sampling, config: dict[str, Any]) -> Any:
    """Diffusers' scheduler of a sampler and a schedule, for a model's scheduler configuration."""
    sampler, schedule = sampling
    kind, options = _STOCK[sampler]
    if sampler is SamplerName.EULER_ANCESTRAL and schedule is not ScheduleName.DEFAULT:
        levels = EulerDiscreteScheduler.from_config(config, **_OPTIONS[schedule])
        return AncestralWithSchedules.from_config(config, levels=levels)
    return kind.from_config(config, **options, **_OPTIONS[schedule])
