"""The names that A1111's web UI has for samplers."""

from jobs.errors import InvalidRequestError
from jobs.request import SamplerName

LABELS = {
    SamplerName.EULER_ANCESTRAL: "Euler a",
    SamplerName.EULER: "Euler",
    SamplerName.DPMPP_2M: "DPM++ 2M",
    SamplerName.DDIM: "DDIM",
}
ALIASES = {
    SamplerName.EULER_ANCESTRAL: ("k_euler_a", "k_euler_ancestral", "euler_ancestral"),
    SamplerName.EULER: ("k_euler",),
    SamplerName.DPMPP_2M: ("k_dpmpp_2m", "dpmpp_2m"),
    SamplerName.DDIM: (),
}
SCHEDULES = ("Automatic",)
# Older clients write the noise schedule into the sampler's name. A picture is made with the schedule of its model.
_KARRAS = " karras"
_TAKEN_SCHEDULES = {"automatic", "karras"}


def sampler_named(name: str, *, field: str) -> SamplerName:
    """The sampler of a name, in any case.

    Raises:
        InvalidRequestError: there is none.
    """
    wanted = name.lower().removesuffix(_KARRAS)
    for sampler, label in LABELS.items():
        if wanted == label.lower() or wanted in ALIASES[sampler]:
            return sampler
    raise InvalidRequestError(
        f"there is no sampler {name!r}; there are: {', '.join(LABELS.values())}", field=field
    )


def check_schedule(name: str) -> None:
    """Raise InvalidRequestError unless a noise schedule of this name can be taken."""
    if name.lower() not in _TAKEN_SCHEDULES:
        raise InvalidRequestError(
            f"there is no noise schedule {name!r}; there are: {', '.join(SCHEDULES)}", field="scheduler"
        )
