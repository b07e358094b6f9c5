"""Names of native fields that servers of diffusion models have in common; most are arguments of diffusers' pipelines.

One table for every dialect that takes native fields. A1111 has names of its own.
"""

from typing import Any

from pydantic import BaseModel, Field

from app.api.dialects.schedulers import CUSTOMARY as SCHEDULERS
from app.api.dialects.schedulers import sampling_named
from jobs.errors import InvalidRequestError
from jobs.requests.pictures import Picture
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import ScheduleName

# The customary names of a native field. Where a request has several, the first counts.
CUSTOMARY = {
    "num_images": ("num_outputs",),
    "steps": ("num_inference_steps",),
    "cfg_scale": ("true_cfg_scale", "guidance_scale"),
    "sampler": ("scheduler",),
}
# Those of the fields of ``init``, the picture that a run starts from. Every snippet for SDXL on Replicate has a
# strength, whether it sends a picture or not; without one it counts as without effect.
CUSTOMARY_OF_INIT = {
    "image": ("image", "init_image", "image_url"),
    "strength": ("prompt_strength", "strength"),
}


class CustomaryFields(BaseModel):
    """The fields of ``CUSTOMARY``; their bounds are those of the native ones."""

    num_outputs: int | None = Field(None, description="Number of pictures to make.")
    num_inference_steps: int | None = Field(None, description="Sampling steps for each picture.")
    guidance_scale: float | None = Field(
        None, description="Classifier-free guidance scale; 1 and less, also 0, is without guidance."
    )
    true_cfg_scale: float | None = Field(
        None, description="The same, where `guidance_scale` is an input of the model's; it comes before that."
    )
    scheduler: str | None = Field(
        None, description=f"Solver of the reverse diffusion: {', '.join(SCHEDULERS)}, or a native name."
    )
    image: Picture | None = Field(None, description=f"The picture to start from. {Picture.forms}")
    init_image: Picture | None = Field(None, description="The same.")
    image_url: Picture | None = Field(None, description="The same, as an address.")
    prompt_strength: float | None = Field(
        None,
        description="How far the result may be from `image`: 1 is pure noise. Without a picture, no effect.",
    )
    strength: float | None = Field(None, description="The same.")


class WithoutEffect(BaseModel):
    """Switches of other services that change nothing here. They are taken, and the job's notes name them."""

    apply_watermark: Any = Field(None, description="Without effect: pictures have no watermark.")
    disable_safety_checker: Any = Field(None, description="Without effect: no picture is checked.")
    enable_safety_checker: Any = Field(None, description="Without effect: no picture is checked.")
    safety_tolerance: Any = Field(None, description="Without effect: no picture is checked.")
    go_fast: Any = Field(None, description="Without effect: every picture has the same precision.")
    prompt_upsampling: Any = Field(None, description="Without effect: the prompt is taken as it is.")
    megapixels: Any = Field(None, description="Without effect: give `width` and `height`.")
    vae_use_slicing: Any = Field(None, description="Without effect: the worker decides how it decodes.")
    vae_use_tiling: Any = Field(None, description="Without effect: the worker decides how it decodes.")


def notes_on(names: list[str]) -> tuple[str, ...]:
    """A sentence on each field that has no effect."""
    return tuple(f"{name} has no effect on this server" for name in names)


def ignored_switches(body: WithoutEffect) -> list[str]:
    """The given fields that have no effect, in the order of their declaration."""
    names = [
        *WithoutEffect.model_fields,
        *(() if _has_picture(body) else CUSTOMARY_OF_INIT["strength"]),
    ]
    return [name for name in names if getattr(body, name, None) is not None]


def native_fields(body: CustomaryFields, within: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """The native fields that a body has given, by either name, and the caller's name of each.

    Args:
        body: also has every field of ``GenerateRequest``.
        within: what stands before a field's name in an error.

    Raises:
        InvalidRequestError: a field is given by both names, or a scheduler is unknown.
    """
    given = body.model_fields_set & GenerateRequest.model_fields.keys()
    fields: dict[str, Any] = {name: getattr(body, name) for name in given}
    names = {name: within + name for name in GenerateRequest.model_fields}
    for name, customary in CUSTOMARY.items():
        chosen = next((each for each in customary if getattr(body, each) is not None), None)
        if chosen is None:
            continue
        if name in given:
            raise InvalidRequestError(
                f"{chosen} and {name} are the same: give one of them", field=within + chosen
            )
        value: Any = getattr(body, chosen)
        if name == "cfg_scale":
            value = _unguided(value)
        fields |= _sampling(value, fields.get("schedule"), within) if name == "sampler" else {name: value}
        names[name] = within + chosen
    return fields | _init(body, names, within), names


def _unguided(scale: float) -> float:
    """A scale of ``cfg_scale``: those services guide above 1 only, and natively less weakens the prompt."""
    return 1.0 if 0 <= scale <= 1 else scale


def _has_picture(body: BaseModel) -> bool:
    return any(getattr(body, name, None) is not None for name in ("init", *CUSTOMARY_OF_INIT["image"]))


def names_strength(body: CustomaryFields) -> bool:
    """Whether a body says how far the result may be from its picture."""
    own = getattr(body, "init", None)
    return (own is not None and "strength" in own.model_fields_set) or any(
        getattr(body, name) is not None for name in CUSTOMARY_OF_INIT["strength"]
    )


def _init(body: CustomaryFields, names: dict[str, str], within: str) -> dict[str, Any]:
    """The native ``init`` of a body with customary names for its fields; adds the caller's names of them.

    Raises:
        InvalidRequestError: a field is given by both names.
    """
    if not _has_picture(body):
        return {}
    own = getattr(body, "init", None)
    init = {} if own is None else {name: getattr(own, name) for name in own.model_fields_set}
    for name, customary in CUSTOMARY_OF_INIT.items():
        chosen = next((each for each in customary if getattr(body, each) is not None), None)
        if chosen is None:
            continue
        if init.get(name, getattr(body, chosen)) != getattr(body, chosen):
            raise InvalidRequestError(
                f"{chosen} and init.{name} are the same: give one of them", field=within + chosen
            )
        init[name] = getattr(body, chosen)
        names[f"init.{name}"] = within + chosen
    return {"init": init}


def _sampling(scheduler: str, schedule: ScheduleName | None, within: str) -> dict[str, Any]:
    """The native fields of a ``scheduler``, whose name may include the schedule."""
    sampler, included = sampling_named(scheduler, field=f"{within}scheduler")
    if included is ScheduleName.DEFAULT:
        return {"sampler": sampler}
    if schedule not in (None, included):
        message = f"scheduler {scheduler} implies schedule {included}; for another one, give {sampler}"
        raise InvalidRequestError(message, field=f"{within}schedule")
    return {"sampler": sampler, "schedule": included}
