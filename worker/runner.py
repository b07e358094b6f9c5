"""Runs the model calls that samplers yield."""

import torch

from jobs.errors import JobFailedError, LodestarError, OutOfMemoryError
from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedText,
    EncodeText,
    Guide,
    InputSize,
    Preview,
    Score,
    Stepped,
)
from worker.guidance.gradient import Gradient, guidance_gradient
from worker.models.registry import ModelRegistry

# Views that CLIP judges at a time; bounds the memory of guidance without changing its result.
GUIDANCE_CHUNK = 16


class Runner:
    """Answers one group of calls at a time, on the engine's thread."""

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models

    def run(self, group: list[Call]) -> list[object]:
        """The answers to a group, in its order.

        Raises:
            LodestarError: the group cannot be run; the type says why.
        """
        try:
            return [self._answer(call) for call in group]
        except LodestarError:
            raise
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemoryError("the picture does not fit the device's memory") from error
        except Exception as error:
            raise JobFailedError(f"{type(error).__name__} in {type(group[0]).__name__.lower()}") from error

    def _answer(self, call: Call) -> object:
        models = self._models
        match call:
            case Stepped() | Preview():
                return None
            case Describe():
                return models.diffusion(call.model).facts
            case EncodeText():
                return models.diffusion(call.model).encode_text(call.text)
            case Denoise():
                return models.diffusion(call.model).denoise(
                    call.latents, call.timestep, call.conditional, call.unconditional, call.cfg_scale
                )
            case EmbedText():
                return models.clip(call.clip).embed_text(call.text)
            case InputSize():
                return models.clip(call.clip).px
            case Guide():
                return self._guide(call)
            case Decode():
                return models.diffusion(call.model).render(call.latents)
            case Score():
                return models.clip(call.clip).score(call.picture, call.target)

    def _guide(self, call: Guide) -> Gradient:
        clip = self._models.clip(call.clip)
        gradient = guidance_gradient(
            call.denoised,
            call.target.to(self._models.device.device),
            call.views,
            decode=self._models.diffusion(call.model).decode,
            embed=clip.embed,
            px=clip.px,
            chunk=GUIDANCE_CHUNK,
        )
        return Gradient(gradient.loss, gradient.value.cpu(), gradient.finite)
