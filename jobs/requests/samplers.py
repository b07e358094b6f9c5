"""Samplers and their noise schedules, by the names the field uses."""

from enum import StrEnum
from typing import Any

from pydantic import model_validator

from jobs.wire import Wire, contradiction


class SamplerName(StrEnum):
    """Solvers of the reverse diffusion."""

    DDIM = "ddim"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    HEUN = "heun"
    LMS = "lms"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_2M_SDE = "dpmpp_2m_sde"
    PNDM = "pndm"
    UNIPC = "unipc"
    DDPM = "ddpm"
    DPM2 = "dpm2"
    DPM2_ANCESTRAL = "dpm2_ancestral"
    DPMPP_2S_ANCESTRAL = "dpmpp_2s_ancestral"
    DPMPP_SDE = "dpmpp_sde"
    DPMPP_2M_SDE_HEUN = "dpmpp_2m_sde_heun"
    DPMPP_3M_SDE = "dpmpp_3m_sde"
    RESTART = "restart"
    LCM = "lcm"
    TCD = "tcd"


class ScheduleName(StrEnum):
    """Noise schedules: the spacing of a run's levels between the largest and the smallest."""

    DEFAULT = "default"
    KARRAS = "karras"
    EXPONENTIAL = "exponential"
    SGM_UNIFORM = "sgm_uniform"
    SIMPLE = "simple"
    NORMAL = "normal"
    BETA = "beta"
    AYS = "ays"


# Their levels are timesteps of the model, which their papers choose, or their own.
_OF_TIMESTEPS = {SamplerName.DDIM, SamplerName.PNDM, SamplerName.DDPM, SamplerName.LCM, SamplerName.TCD}
_OF_THEIR_OWN = {*_OF_TIMESTEPS, SamplerName.RESTART}
# Two calls of the denoiser in each step but the last.
TWO_CALLS = frozenset(
    {
        SamplerName.HEUN,
        SamplerName.DPM2,
        SamplerName.DPM2_ANCESTRAL,
        SamplerName.DPMPP_2S_ANCESTRAL,
        SamplerName.DPMPP_SDE,
        SamplerName.RESTART,
    }
)
# Fresh noise at every step but the last, whatever is asked of them.
WITH_NOISE = frozenset(
    {
        SamplerName.EULER_ANCESTRAL,
        SamplerName.DPMPP_2M_SDE,
        SamplerName.DDPM,
        SamplerName.DPM2_ANCESTRAL,
        SamplerName.DPMPP_2S_ANCESTRAL,
        SamplerName.DPMPP_SDE,
        SamplerName.DPMPP_2M_SDE_HEUN,
        SamplerName.DPMPP_3M_SDE,
        SamplerName.LCM,
    }
)
# Those that take ``eta``.
WITH_ETA = (SamplerName.DDIM, SamplerName.TCD)
SCHEDULES: dict[SamplerName, tuple[ScheduleName, ...]] = {
    sampler: (ScheduleName.DEFAULT,) if sampler in _OF_THEIR_OWN else tuple(ScheduleName)
    for sampler in SamplerName
}
# Samplers of earlier versions, whose names included the schedule.
FORMER_SAMPLERS = {
    "dpmpp_2m_karras": (SamplerName.DPMPP_2M, ScheduleName.KARRAS),
    "dpmpp_2m_sde_karras": (SamplerName.DPMPP_2M_SDE, ScheduleName.KARRAS),
}
_FORMER_NAMES: dict[tuple[object, object], str] = {pair: name for name, pair in FORMER_SAMPLERS.items()}


def unsupported(sampler: SamplerName, schedule: ScheduleName) -> str | None:
    """The reason why a sampler does not support a schedule; None if it does."""
    if schedule in SCHEDULES[sampler]:
        return None
    return f"sampler {sampler} does not support schedule {schedule}, only: {', '.join(SCHEDULES[sampler])}"


class NamesSampler(Wire):
    """A model with the fields ``sampler`` and ``schedule``, which also reads a former name of both."""

    @model_validator(mode="before")
    @classmethod
    def _split_former_sampler(cls, fields: Any) -> Any:
        former = fields.get("sampler") if isinstance(fields, dict) else None
        if not isinstance(former, str) or former not in FORMER_SAMPLERS:
            return fields
        sampler, schedule = FORMER_SAMPLERS[former]
        if (given := fields.get("schedule")) not in (None, schedule):
            message = f"sampler {former} implies schedule {schedule}; for another one, give sampler {sampler}"
            raise contradiction(cls, "schedule", given, message)
        return {**fields, "sampler": sampler, "schedule": schedule}

    def former_values(self, fields: dict[str, Any]) -> dict[str, Any]:
        """``fields`` with the former name of a sampler and its schedule, if it has one."""
        former = _FORMER_NAMES.get((fields.get("sampler"), fields.get("schedule")))
        if former is None:
            return fields
        return {name: value for name, value in fields.items() if name != "schedule"} | {"sampler": former}
