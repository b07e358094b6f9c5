"""A1111's names of samplers and noise schedules."""

from jobs.errors import InvalidRequestError
from jobs.requests.labels import LABELS, SCHEDULE_LABELS
from jobs.requests.samplers import FORMER_SAMPLERS, SCHEDULES, SamplerName, ScheduleName

ALIASES = {
    "k_euler_a": SamplerName.EULER_ANCESTRAL,
    "k_euler_ancestral": SamplerName.EULER_ANCESTRAL,
    "k_euler": SamplerName.EULER,
    "k_lms": SamplerName.LMS,
    "k_heun": SamplerName.HEUN,
    "k_dpmpp_2m": SamplerName.DPMPP_2M,
    "k_dpmpp_2m_sde": SamplerName.DPMPP_2M_SDE,
}
_SCHEDULES = {label.lower(): schedule for schedule, label in SCHEDULE_LABELS.items()}
_PLAIN = {
    **{str(sampler): sampler for sampler in SamplerName},
    **{label.lower(): sampler for sampler, label in LABELS.items()},
    **ALIASES,
}
# Older clients write the schedule into the sampler's name, newer ones beside it.
_KNOWN = {
    **{name: (sampler, None) for name, sampler in _PLAIN.items()},
    **{
        f"{name} {label}": (sampler, schedule)
        for name, sampler in _PLAIN.items()
        for label, schedule in _SCHEDULES.items()
    },
    **FORMER_SAMPLERS,
    "k_dpmpp_2m_ka": (SamplerName.DPMPP_2M, ScheduleName.KARRAS),
    "k_dpmpp_2m_sde_ka": (SamplerName.DPMPP_2M_SDE, ScheduleName.KARRAS),
}


def sampler_named(name: str, *, field: str) -> tuple[SamplerName, ScheduleName | None]:
    """The sampler of a name, in any case, and the schedule that the name includes.

    Raises:
        InvalidRequestError: there is none.
    """
    if found := _KNOWN.get(name.lower()):
        return found
    raise InvalidRequestError(
        f"there is no sampler {name!r}; there are: {', '.join(LABELS.values())}", field=field
    )


def schedule_named(name: str) -> ScheduleName | None:
    """The noise schedule of a name, in any case; None for one that is not served, which A1111 takes as Automatic."""
    return _SCHEDULES.get(name.lower())


def supported(sampler: SamplerName, schedule: ScheduleName | None) -> ScheduleName | None:
    """The schedule; None if the sampler does not support it, since A1111 ignores it there too."""
    return schedule if schedule in SCHEDULES[sampler] else None
