"""The conditions of a denoiser: its encoded prompt, personalized if requested, and its negative prompt."""

from collections.abc import Callable, Generator, Iterable
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
from worker.facts import RowSpec
from worker.finite import require_finite
from worker.rows import AdapterUse, Row, Rows, TextStates
from worker.sampling.conditions.embedded_scale import embedded_scale
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
        return self._changed(lambda rows: tuple(replace(row, channels=channels) for row in rows))

    def blind(self) -> "Conditions":
        """The same with zeros for the channels of the last row of each step."""
        return self._changed(lambda rows: (*rows[:-1], _unseeing(rows[-1])))

    def told(self, numbers: Tensor, last: Tensor) -> "Conditions":
        """The same with numbers [1, n] after the vector of every row; with others in the last row of each step."""
        return self._changed(
            lambda rows: (*(_longer(row, numbers) for row in rows[:-1]), _longer(rows[-1], last))
        )

    def _changed(self, change: Callable[[Rows], Rows]) -> "Conditions":
        return Conditions(tuple((last_step, change(rows)) for last_step, rows in self.spans))


def _unseeing(row: Row) -> Row:
    return row if row.channels is None else replace(row, channels=torch.zeros_like(row.channels))


def _longer(row: Row, numbers: Tensor) -> Row:
    return replace(row, vector=numbers if row.vector is None else torch.cat([row.vector, numbers], dim=1))


def condition(
    request: ResolvedRequest, spec: RowSpec, inputs: SamplerInputs
) -> Generator[Yield, Any, Conditions]:
    """The rows of classifier-free guidance: the prompt's, then the negative prompt's. One of weight 0 is left out.

    Of an edit there are two of the negative prompt, the last of which sees no picture.

    A prompt of several branches has a row for each: u + g sum_k w_k (c_k - u) (Liu et al. 2022, eq. 11). Where a model
    was trained so, an empty negative prompt is zeros.

    Args:
        request: of the picture.
        spec: what a row carries.
        inputs: of the job.

    Raises:
        NoImageTowerError: the request is personalized, and the catalog names no CLIP for its model's text encoder.
        ClipMismatchError: the aesthetic embedding is of another CLIP's space.
        JobFailedError: the personalized prompt is not finite.
    """
    negatives = request.negative_weights
    weighted = [
        *(
            (branch, branch.weight * request.conditional_scale)
            for branch in request.branches
            if request.reads_prompt
        ),
        *((request.negative_branch, weight) for weight in negatives),
    ]
    wordings = dict.fromkeys(span.wording for branch, _ in weighted for span in branch.spans)
    encoded = yield from _encoded(request, wordings, inputs)
    last_steps = {span.last_step for branch, _ in weighted for span in branch.spans} | _changes(request)

    guidance = None
    if spec.guidance_width:
        guidance = embedded_scale(request.cfg_scale, spec.guidance_width)

    def rows(step: int) -> Rows:
        states = [encoded[branch.at(step)] for branch, _ in weighted]
        if negatives and spec.is_zero_for_nothing and not weighted[-1][0].at(step).text:
            states[-len(negatives) :] = [_zeros_like(states[-1])] * len(negatives)
        adapters = _adapters(request, step)
        return tuple(
            Row(each.context, weight, each.pooled, guidance, adapters=adapters)
            for each, (_, weight) in zip(states, weighted, strict=True)
        )

    return Conditions(tuple((step, rows(step)) for step in sorted(last_steps)))


def _zeros_like(states: TextStates) -> TextStates:
    pooled = None if states.pooled is None else torch.zeros_like(states.pooled)
    return TextStates(torch.zeros_like(states.context), pooled)


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


def _encoded(
    request: ResolvedRequest, wordings: Iterable[Wording], inputs: SamplerInputs
) -> Generator[Yield, Any, dict[Wording, TextStates]]:
    """States with contexts of one length, so that all calls of a run share batches: the shorter ones are filled up.

    What fills them are the states of an empty text.
    """
    encoded: dict[Wording, TextStates] = {}
    adapters = _of_the_text_encoder(request)
    for wording in wordings:
        encoded[wording] = yield EncodeText(request.model, wording, adapters)
    if request.reads_prompt and request.personalization is not None:
        whole = request.branches[0].at(0)
        context = yield from _personalized(request, encoded[whole].context, inputs)
        encoded[whole] = replace(encoded[whole], context=context)
    longest = max(states.context.shape[1] for states in encoded.values())
    if all(states.context.shape[1] == longest for states in encoded.values()):
        return encoded
    nothing = replace(EMPTY, clip_skip=request.clip_skip)
    empty: TextStates = yield EncodeText(request.model, nothing, adapters)
    return {wording: _filled(states, empty.context, longest) for wording, states in encoded.items()}


def _filled(states: TextStates, empty: Tensor, length: int) -> TextStates:
    """States with a context of a length, filled up with the empty text's [1, L, D]."""
    times = (length - states.context.shape[1]) // empty.shape[1]
    return replace(states, context=torch.cat([states.context, *[empty] * times], dim=1))


def _personalized(
    request: ResolvedRequest, context: Tensor, inputs: SamplerInputs
) -> Generator[Yield, Any, Tensor]:
    """The prompt's context [1, L, D] after aesthetic gradients (Gallego 2022) of the first text encoder.

    Its states come first in the context; those of a second one stay.
    """
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
        request.clip_skip,
    )
    tuned: object | None = None
    while not isinstance(tuned, Tensor):
        tuned = yield Personalize(
            request.model, inputs.text_clip, request.prompt, embedding.direction, tuning, tuned
        )
    own, others = context.split([tuned.shape[2], context.shape[2] - tuned.shape[2]], dim=2)
    mixed = blended(own.float().cpu(), tuned, asked.weight, asked.blend).to(context)
    require_finite(mixed, "the personalized prompt", after=f"blending by {asked.blend}")
    return torch.cat([mixed, others], dim=2)
