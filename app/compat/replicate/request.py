"""The body of a prediction, and the native request that it stands for."""

from typing import Any

from pydantic import Field

from app.compat.submission import native_request
from jobs.errors import InvalidRequestError
from jobs.request import GenerateRequest, SamplerName
from jobs.state import Wire

# The customary names of Stable Diffusion on Replicate, by the native ones.
CUSTOMARY = {
    "images": "num_outputs",
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "sampler": "scheduler",
}
_SCHEDULERS = {
    "DDIM": SamplerName.DDIM,
    "K_EULER": SamplerName.EULER,
    "K_EULER_ANCESTRAL": SamplerName.EULER_ANCESTRAL,
    "DPMSolverMultistep": SamplerName.DPMPP_2M,
}


class PredictionInput(GenerateRequest):
    """The native fields, and beside them those that models on Replicate have by custom."""

    num_outputs: int | None = Field(None, description="Number of pictures to make.")
    num_inference_steps: int | None = Field(None, description="Sampling steps for each picture.")
    guidance_scale: float | None = Field(None, description="Classifier-free guidance scale.")
    scheduler: str | None = Field(
        None, description=f"Solver of the reverse diffusion: {', '.join(_SCHEDULERS)}, or a native name."
    )


class PredictionBody(Wire):
    """What ``predictions.create`` sends for a model that its path names."""

    input: PredictionInput
    stream: bool | None = None


class VersionedPredictionBody(PredictionBody):
    """What it sends when the path names no model."""

    version: str


def to_native(body: PredictionBody, model_id: str) -> GenerateRequest:
    """The native request that a body stands for.

    Raises:
        InvalidRequestError: fields contradict each other, or ask for what cannot be done.
        RequestValidationError: a customary field has a value that cannot be served.
    """
    given = body.input.model_fields_set
    if "model" in given:
        raise InvalidRequestError("the model is named by the path, or by version", field="input.model")
    native: dict[str, Any] = {
        name: getattr(body.input, name) for name in given & GenerateRequest.model_fields.keys()
    }
    for name, customary in CUSTOMARY.items():
        value = getattr(body.input, customary)
        if value is None:
            continue
        if name in given:
            raise InvalidRequestError(
                f"{customary} and {name} are the same: give one of them", field=f"input.{customary}"
            )
        native[name] = _sampler(value) if name == "sampler" else value
    return native_request(native | {"model": model_id}, names_of(body))


def names_of(body: PredictionBody) -> dict[str, str]:
    """What the caller calls the native fields."""
    return {
        name: f"input.{CUSTOMARY[name]}"
        if name in CUSTOMARY and getattr(body.input, CUSTOMARY[name]) is not None
        else f"input.{name}"
        for name in GenerateRequest.model_fields
    }


def _sampler(name: str) -> SamplerName:
    known = {**_SCHEDULERS, **{str(sampler): sampler for sampler in SamplerName}}
    if name not in known:
        raise InvalidRequestError(
            f"there is no scheduler {name!r}; there are: {', '.join(known)}", field="input.scheduler"
        )
    return known[name]
