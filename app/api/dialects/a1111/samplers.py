"""The names that A1111's web UI has for samplers."""

from jobs.errors import InvalidRequestError
from jobs.requests.request import SamplerName

LABELS = {
    SamplerName.EULER_ANCESTRAL: "Euler a",
    SamplerName.EULER: "Euler",
    SamplerName.LMS: "LMS",
    SamplerName.HEUN: "Heun",
    SamplerName.DPMPP_2M: "DPM++ 2M",
    SamplerName.DPMPP_2M_KARRAS: "DPM++ 2M Karras",
    SamplerName.DPMPP_2M_SDE_KARRAS: "DPM++ 2M SDE Karras",
    SamplerName.DDIM: "DDIM",
    SamplerName.PNDM: "PLMS",
    SamplerName.UNIPC: "UniPC",
}
ALIASES = {
    "k_euler_a": SamplerName.EULER_ANCESTRAL,
    "k_euler_ancestral": SamplerName.EULER_ANCESTRAL,
    "k_euler": SamplerName.EULER,
    "k_lms": SamplerName.LMS,
    "k_heun": SamplerName.HEUN,
    "k_dpmpp_2m": SamplerName.DPMPP_2M,
    "k_dpmpp_2m_ka": SamplerName.DPMPP_2M_KARRAS,
    "k_dpmpp_2m_sde_ka": SamplerName.DPMPP_2M_SDE_KARRAS,
    "dpm++ 2m sde": SamplerName.DPMPP_2M_SDE_KARRAS,
}
_KNOWN = {
    **{str(sampler): sampler for sampler in SamplerName},
    **{label.lower(): sampler for sampler, label in LABELS.items()},
    **ALIASES,
}
SCHEDULES = ("Automatic",)
# Older clients write the noise schedule into the sampler's name, newer ones beside it. Where there is no such sampler,
# the picture is made with the schedule of its model.
_KARRAS = " karras"
_TAKEN_SCHEDULES = {"automatic", "karras"}


def sampler_named(name: str, *, field: str, schedule: str | None = None) -> SamplerName:
    """The sampler of a name, in any case.

    Raises:
        InvalidRequestError: there is none.
    """
    wanted = name.lower()
    plain = wanted.removesuffix(_KARRAS)
    if schedule is not None and schedule.lower() == _KARRAS.strip():
        wanted = plain + _KARRAS
    for known in (wanted, plain):
        if known in _KNOWN:
            return _KNOWN[known]
    raise InvalidRequestError(
        f"there is no sampler {name!r}; there are: {', '.join(LABELS.values())}", field=field
    )


def check_schedule(name: str) -> None:
    """Raise InvalidRequestError unless a noise schedule of this name can be taken."""
    if name.lower() not in _TAKEN_SCHEDULES:
        raise InvalidRequestError(
            f"there is no noise schedule {name!r}; there are: {', '.join(SCHEDULES)}", field="scheduler"
        )
