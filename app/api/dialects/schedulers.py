"""Names of samplers as ``scheduler``: those of models on Replicate, and of diffusers' classes."""

from jobs.errors import InvalidRequestError
from jobs.requests.samplers import FORMER_SAMPLERS, SamplerName, ScheduleName

Sampling = tuple[SamplerName, ScheduleName]

_DPMPP_2M_KARRAS = (SamplerName.DPMPP_2M, ScheduleName.KARRAS)
CUSTOMARY: dict[str, SamplerName | Sampling] = {
    "DDIM": SamplerName.DDIM,
    "DPMSolverMultistep": SamplerName.DPMPP_2M,
    "HeunDiscrete": SamplerName.HEUN,
    "KarrasDPM": _DPMPP_2M_KARRAS,
    "K_EULER": SamplerName.EULER,
    "K_EULER_ANCESTRAL": SamplerName.EULER_ANCESTRAL,
    "KLMS": SamplerName.LMS,
    "PNDM": SamplerName.PNDM,
    "UniPCMultistep": SamplerName.UNIPC,
}
_ALSO: dict[str, SamplerName | Sampling] = {
    "EulerDiscrete": SamplerName.EULER,
    "EulerAncestralDiscrete": SamplerName.EULER_ANCESTRAL,
    "K_HEUN": SamplerName.HEUN,
    "K_LMS": SamplerName.LMS,
    "LMSDiscrete": SamplerName.LMS,
    "KDPM2Discrete": SamplerName.DPM2,
    "KDPM2AncestralDiscrete": SamplerName.DPM2_ANCESTRAL,
    "DPMSolverSDE": SamplerName.DPMPP_SDE,
    "DPM++2MKarras": _DPMPP_2M_KARRAS,
    **{str(sampler): sampler for sampler in SamplerName},
    **FORMER_SAMPLERS,
}


def _simplified(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("scheduler")


_KNOWN: dict[str, Sampling] = {
    _simplified(name): (meant, ScheduleName.DEFAULT) if isinstance(meant, SamplerName) else meant
    for name, meant in {**CUSTOMARY, **_ALSO}.items()
}


def sampling_named(name: str, *, field: str) -> Sampling:
    """The sampler and the noise schedule of a name, in any case, also with ``Scheduler`` at its end.

    Raises:
        InvalidRequestError: there is none.
    """
    if found := _KNOWN.get(_simplified(name)):
        return found
    known = ", ".join((*CUSTOMARY, *SamplerName))
    raise InvalidRequestError(f"there is no scheduler {name!r}; there are: {known}", field=field)
