"""The names that models on Replicate have for samplers: those of its own and of diffusers' classes."""

from jobs.errors import InvalidRequestError
from jobs.requests.request import SamplerName

CUSTOMARY = {
    "DDIM": SamplerName.DDIM,
    "DPMSolverMultistep": SamplerName.DPMPP_2M,
    "HeunDiscrete": SamplerName.HEUN,
    "KarrasDPM": SamplerName.DPMPP_2M_KARRAS,
    "K_EULER": SamplerName.EULER,
    "K_EULER_ANCESTRAL": SamplerName.EULER_ANCESTRAL,
    "KLMS": SamplerName.LMS,
    "PNDM": SamplerName.PNDM,
    "UniPCMultistep": SamplerName.UNIPC,
}
_ALSO = {
    "EulerDiscrete": SamplerName.EULER,
    "EulerAncestralDiscrete": SamplerName.EULER_ANCESTRAL,
    "K_HEUN": SamplerName.HEUN,
    "K_LMS": SamplerName.LMS,
    "LMSDiscrete": SamplerName.LMS,
    "DPM++2MKarras": SamplerName.DPMPP_2M_KARRAS,
}


def _plain(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("scheduler")


_KNOWN = {
    _plain(name): sampler
    for name, sampler in {**CUSTOMARY, **_ALSO, **{str(name): name for name in SamplerName}}.items()
}


def sampler_named(name: str, *, field: str) -> SamplerName:
    """The sampler of a name, in any case, also with ``Scheduler`` at its end.

    Raises:
        InvalidRequestError: there is none.
    """
    if found := _KNOWN.get(_plain(name)):
        return found
    known = ", ".join((*CUSTOMARY, *SamplerName))
    raise InvalidRequestError(f"there is no scheduler {name!r}; there are: {known}", field=field)
