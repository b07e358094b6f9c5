"""The conditions of a denoiser: its encoded prompt, personalized if requested, and its negative prompt."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jobs.errors import NoImageTowerError
from jobs.prompts.prompt import EMPTY, Wording
from jobs.requests.request import ResolvedRequest
from worker.aesthetics.embeddings import require_clip
from worker.aesthetics.personalization import blended
from worker.calls import EncodeText, Personalize, Tuning
from worker.events import Yield
from worker.finite import require_finite
from worker.rows import AdapterUse, Row, Rows
from worker.sampling.inputs import SamplerInputs


@dataclass(frozen=True, eq=False)
class Conditions:
    """The rows of a picture's run.

    Attributes:
        spans: the last step that has some rows, and these, one after another.
    """

    spans: tuple[tuple[int, Rows], ...]

    def at(self, step: int) -> Rows:
        """Those of a step, from 0."""
        for last_step, rows in self.spans:
            if step <= last_step:
                return rows
        return self.spans[-1][1]

    def beside(self, channels: Tensor | None) -> "Conditions":
        """The same with channels [1, K, h, w] in every row; as they are for None."""
        if channels is None:
            return self
        return Conditions(
            tuple(
                (last_step, tuple(replace(row, channels=channels) for row in rows))
                for last_step, rows in self.spans
            )
        )


def condition(request: ResolvedRequest, inputs: SamplerInputs) -> Generator[Yield, Any, Conditions]:
    """The rows of classifier-free guidance: the prompt's, then the negative prompt's. One of weight 0 is left out.

    A prompt of several branches has a row for each: u + g sum_k w_k (c_k - u) (Liu et al. 2022, eq. 11).

    Raises:
        NoImageTowerError: the request is personalized, and the catalog names no CLIP for its model's text encoder.
        ClipMismatchError: the aesthetic embedding is of another CLIP's space.
        JobFailedError: the personalized prompt is not finite.
    """
    weighted = [
        (branch, branch.weight * request.cfg_scale) for branch in request.branches if request.reads_prompt
    ]
    if request.unconditional_weight:
        weighted.append((request.negative_branch, request.unconditional_weight))
    wordings = dict.fromkeys(span.wording for branch, _ in weighted for span in branch.spans)
    contexts = yield from _contexts(request, wordings, inputs)
    last_steps = {span.last_step for branch, _ in weighted for span in branch.spans} | _changes(request)
    return Conditions(
        tuple(
            (
                step,
                tuple(
                    Row(contexts[branch.at(step)], weight, adapters=_adapters(request, step))
                    for branch, weight in weighted
                ),
            )
            for step in sorted(last_steps)
        )
    )


def _adapters(request: ResolvedRequest, step: int) -> tuple[AdapterUse, ...]:
    """Those that change the denoiser in a step."""
    return tuple(
        AdapterUse(each.name, each.weight)
        for each in request.adapters
        if each.weight and each.is_active(step, request.steps)
    )


def _of_the_text_encoder(request: ResolvedRequest) -> tuple[AdapterUse, ...]:
    return tuple(AdapterUse(each.name, each.text_weight) for each in request.adapters if each.text_weight)


def _changes(request: ResolvedRequest) -> set[int]:
    """The steps that are the last with some adapters."""
    if not request.adapters:
        return set()
    last = request.steps - 1
    return {last, *(step for step in range(last) if _adapters(request, step) != _adapters(request, step + 1))}


def _contexts(
    request: ResolvedRequest, wordings: Iterable[Wording], inputs: SamplerInputs
) -> Generator[Yield, Any, dict[Wording, Tensor]]:
    """Contexts of one length, so that all calls of a run share batches: the shorter ones are filled up.

    What fills them are the states of an empty text.
    """
    contexts: dict[Wording, Tensor] = {}
    adapters = _of_the_text_encoder(request)
    for wording in wordings:
        contexts[wording] = yield EncodeText(request.model, wording, adapters)
    if request.reads_prompt and request.personalization is not None:
        whole = request.branches[0].at(0)
        contexts[whole] = yield from _personalized(request, contexts[whole], inputs)
    longest = max(context.shape[1] for context in contexts.values())
    if all(context.shape[1] == longest for context in contexts.values()):
        return contexts
    empty: Tensor = yield EncodeText(request.model, EMPTY, adapters)
    return {
        wording: torch.cat([context, *[empty] * ((longest - context.shape[1]) // empty.shape[1])], dim=1)
        for wording, context in contexts.items()
    }


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
    tuning = Tuning(
        asked.digest,
        asked.steps,
        asked.lr,
        asked.text,
        asked.text_angle,
        asked.text_negative,
        _of_the_text_encoder(request),
    )
    tuned: object | None = None
    while not isinstance(tuned, Tensor):
        tuned = yield Personalize(
            request.model, inputs.text_clip, request.prompt, embedding.direction, tuning, tuned
        )
    mixed = blended(context.float().cpu(), tuned, asked.weight, asked.blend).to(context)
    require_finite(mixed, "the personalized prompt", after=f"blending by {asked.blend}")
    return mixed
