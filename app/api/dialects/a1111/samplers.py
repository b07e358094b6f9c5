"""A1111's names of samplers and noise schedules."""

from collections.abc import Mapping

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
    "k_dpmpp_2m_sde_heun": SamplerName.DPMPP_2M_SDE_HEUN,
    "k_dpmpp_3m_sde": SamplerName.DPMPP_3M_SDE,
    "k_dpmpp_sde": SamplerName.DPMPP_SDE,
    "k_dpmpp_2s_a": SamplerName.DPMPP_2S_ANCESTRAL,
    "k_dpm_2": SamplerName.DPM2,
    "k_dpm_2_a": SamplerName.DPM2_ANCESTRAL,
    "k_lcm": SamplerName.LCM,
}
# Samplers of A1111's that choose their steps by themselves and are not served. Another one draws instead.
SUBSTITUTES = {
    "DPM fast": SamplerName.DPMPP_2M,
    "DPM adaptive": SamplerName.DPMPP_2M,
}
# By the label, or by the name that A1111's own lists have, which clients send too.
_SCHEDULES = {label.lower(): schedule for schedule, label in SCHEDULE_LABELS.items()} | {
    label.lower().replace(" ", "_"): schedule for schedule, label in SCHEDULE_LABELS.items()
}

Sampling = tuple[SamplerName, ScheduleName | None]


def _alone_and_with_schedules(samplers: Mapping[str, SamplerName]) -> dict[str, Sampling]:
    """By names in lower case. Older clients write the schedule into the sampler's name, newer ones beside it."""
    known: dict[str, Sampling] = {}
    for name, sampler in samplers.items():
        known[name.lower()] = (sampler, None)
        known |= {f"{name.lower()} {label}": (sampler, schedule) for label, schedule in _SCHEDULES.items()}
    return known


_PLAIN = {
    **{str(sampler): sampler for sampler in SamplerName},
    **{LABELS[sampler]: sampler for sampler in LABELS},
}
_KNOWN = {
    **_alone_and_with_schedules({**_PLAIN, **ALIASES}),
    **FORMER_SAMPLERS,
    "k_dpmpp_2m_ka": (SamplerName.DPMPP_2M, ScheduleName.KARRAS),
    "k_dpmpp_2m_sde_ka": (SamplerName.DPMPP_2M_SDE, ScheduleName.KARRAS),
}
_SUBSTITUTED = _alone_and_with_schedules(SUBSTITUTES)


def sampler_named(name: str, *, field: str) -> Sampling:
    """The sampler of a name, in any case, and the schedule that the name includes.

    Raises:
        InvalidRequestError: there is none.
    """
    if found := _KNOWN.get(name.lower()) or _SUBSTITUTED.get(name.lower()):
        return found
    raise InvalidRequestError(
        f"there is no sampler {name!r}; there are: {', '.join(LABELS.values())}", field=field
    )


def substitute(name: str) -> str | None:
    """A1111's name of the sampler that draws instead of one that is not served; None of any other name."""
    found = _SUBSTITUTED.get(name.lower())
    return found and LABELS[found[0]]


def schedule_named(name: str) -> ScheduleName | None:
    """The noise schedule of a name, in any case; None for one that is not served, which A1111 takes as Automatic."""
    return _SCHEDULES.get(name.lower())


def supported(sampler: SamplerName, schedule: ScheduleName | None) -> ScheduleName | None:
    """The schedule; None if the sampler does not support it, since A1111 ignores it there too."""
    return schedule if schedule in SCHEDULES[sampler] else None
