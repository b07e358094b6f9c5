"""The conditions of a denoiser: its encoded prompt, personalized if requested, and its negative prompt."""

from collections.abc import Generator
from typing import Any

from torch import Tensor

from jobs.errors import NoImageTowerError
from jobs.requests.request import ResolvedRequest
from worker.aesthetics.embeddings import require_clip
from worker.aesthetics.personalization import blended
from worker.calls import EncodeText, Personalize, Tuning
from worker.events import Yield
from worker.finite import require_finite
from worker.rows import Row, Rows
from worker.sampling.inputs import SamplerInputs


def condition(request: ResolvedRequest, inputs: SamplerInputs) -> Generator[Yield, Any, Rows]:
    """The rows of classifier-free guidance: the prompt's, then the negative prompt's. One of weight 0 is left out.

    Raises:
        NoImageTowerError: the request is personalized, and the catalog names no CLIP for its model's text encoder.
        ClipMismatchError: the aesthetic embedding is of another CLIP's space.
        JobFailedError: the personalized prompt is not finite.
    """
    rows: list[Row] = []
    if request.reads_prompt:
        context: Tensor = yield EncodeText(request.model, request.prompt)
        context = yield from _personalized(request, context, inputs)
        rows.append(Row(context, request.cfg_scale))
    if request.cfg_scale != 1:
        unconditional: Tensor = yield EncodeText(request.model, request.negative_prompt)
        rows.append(Row(unconditional, 1 - request.cfg_scale))
    return tuple(rows)


def _personalized(
    request: ResolvedRequest, context: Tensor, inputs: SamplerInputs
) -> Generator[Yield, Any, Tensor]:
    """The prompt's context [1, L, D] after aesthetic gradients (Gallego 2022)."""
    asked = request.personalization
    if asked is None or asked.steps == 0 or asked.weight == 0:
        return context
    if inputs.text_clip is None:
        raise NoImageTowerError(
            f"model {request.model!r} cannot be personalized: the catalog names no CLIP for it"
        )
    embedding = inputs.embeddings[asked.digest]
    require_clip(embedding, inputs.text_clip, name=asked.embedding)
    tuning = Tuning(asked.digest, asked.steps, asked.lr, asked.text, asked.text_angle, asked.text_negative)
    tuned: object | None = None
    while not isinstance(tuned, Tensor):
        tuned = yield Personalize(
            request.model, inputs.text_clip, request.prompt, embedding.direction, tuning, tuned
        )
    mixed = blended(context.float().cpu(), tuned, asked.weight, asked.blend).to(context)
    require_finite(mixed, "the personalized prompt", after=f"blending by {asked.blend}")
    return mixed
