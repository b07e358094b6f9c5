"""A private copy of a text encoder during its fit to an aesthetic embedding, a few steps at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from worker.finite import require_finite
from worker.rows import TextStates

# Cosine similarity of an encoder's and a CLIP's embedding of one text. Fine-tuning leaves much more, and unrelated
# encoders have about 0.
LEAST_COMPATIBILITY = 0.25

Completion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class EncoderRun:
    """A text encoder as functions, which may run it with other weights than its own.

    Attributes:
        run: the encoder, called as transformers' own is.
        norm: its last norm.
    """

    run: Callable[..., Any]
    norm: Callable[[Tensor], Tensor]


# From an encoder, tokens [N, L], an attention mask [N, L] or None and the clip skip of each row to the states that
# condition.
Read = Callable[[EncoderRun, Tensor, Tensor | None, Sequence[int]], TextStates]


class Fitting:
    """T steps of Adam on a copy of a text encoder's weights.

    The loss is -mean_n(unit(project(text_n)) . e). All weights of the encoder are tuned, token and position embeddings
    included; the projection is not. The encoder itself is only read: the copy is float32, whatever the encoder is, and
    lives as long as this object. Memory: four times the encoder in float32 (weights, gradients, two moments).
    """

    def __init__(
        self,
        encoder: Module,
        projection: Tensor,
        tokens: Tensor,
        direction: Tensor,
        *,
        steps: int,
        lr: float,
        read: Read,
        clip_skip: int = 0,
        changes: Mapping[str, Tensor] | None = None,
        completion: Completion | None = None,
        known: Tensor | None = None,
    ) -> None:
        """Copy the encoder.

        Args:
            encoder: a transformers ``CLIPTextModel``, frozen and in eval mode.
            projection: from its pooled output to the CLIP's space, [D, E].
            tokens: ids [N, L], one row for each window of the prompt.
            direction: e, of the aesthetic embedding, a unit vector [E].
            steps: T.
            lr: Adam's learning rate.
            read: what is read of the encoder's answer.
            clip_skip: layers before the usual one whose states are read.
            changes: what is added to the weights of these names before.
            completion: for an encoder without its CLIP's last layers: these and the projection, as a differentiable
                function from its states [N, L, D] before the last norm, and the tokens, to embeddings [N, E].
            known: the CLIP's embedding of the first window, a unit vector [E], to check the encoder's compatibility.
        """
        device = tokens.device
        self._encoder, self._completion, self._known = encoder, completion, known
        self._read, self._clip_skip = read, clip_skip
        self._steps, self._taken = steps, 0
        with torch.inference_mode(False), torch.enable_grad():
            # Tensors made under inference mode may not enter a graph.
            self._ids = tokens.clone()
            self._goal = direction.to(device, torch.float32, copy=True)
            self._to_space = projection.to(device, torch.float32, copy=True)
            self._weights = {
                name: _changed(weight, (changes or {}).get(name)).requires_grad_(True)
                for name, weight in encoder.named_parameters()
            }
            self._adam = torch.optim.Adam(self._weights.values(), lr=lr)

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self._taken == self._steps

    def advance(self, seconds: float) -> None:
        """Take steps until all are taken or the time is over; one at least, if one is left.

        Raises:
            ModelUnavailableError: the encoder is not compatible with the CLIP.
            JobFailedError: the weights overflowed.
        """
        end = time.monotonic() + seconds
        while not self.done:
            with torch.inference_mode(False), torch.enable_grad():
                self._step()
            self._taken += 1
            if time.monotonic() >= end:
                return

    def states(self) -> Tensor:
        """The states [N, L, D] that condition, of the encoder as fitted so far.

        Raises:
            JobFailedError: they are not finite.
        """
        with torch.no_grad():
            skips = [self._clip_skip] * len(self._ids)
            hidden = self._read(EncoderRun(self._run, self._norm), self._ids, None, skips).context
        self._require_finite(hidden)
        return hidden

    def _run(self, *inputs: Any, **named: Any) -> Any:
        """The encoder as fitted so far."""
        return functional_call(self._encoder, self._weights, inputs, named)

    def _norm(self, states: Tensor) -> Tensor:
        """The encoder's last norm as fitted so far."""
        name, norm = final_norm(self._encoder)
        weights = {each: self._weights[f"{name}.{each}"] for each, _ in norm.named_parameters()}
        normed: Tensor = functional_call(norm, weights, (states,))
        return normed

    def _step(self) -> None:
        embeddings = F.normalize(self._embeddings(), dim=-1)
        if self._known is not None:
            _require_compatibility(embeddings[0], self._known)
            self._known = None  # the fit may move the encoder away
        similarity = (embeddings @ self._goal).mean()
        # The comparison also waits for the device, so the time is that of whole steps.
        self._require_finite(similarity.detach())
        self._adam.zero_grad()
        (-similarity).backward()
        self._adam.step()

    def _embeddings(self) -> Tensor:
        if self._completion is None:
            pooled: Tensor = self._run(self._ids).pooler_output
            return pooled @ self._to_space
        return self._completion(_states_before_norm(self._encoder, self._weights, self._ids), self._ids)

    def _require_finite(self, value: Tensor) -> None:
        require_finite(value, "the personalized prompt", after=f"{self._taken} steps of aesthetic gradients")


def final_norm(encoder: Module) -> tuple[str, Module]:
    """The last norm of a text encoder of transformers, and its name there."""
    ((name, norm),) = (each for each in encoder.named_modules() if each[0].endswith("final_layer_norm"))
    return name, norm


def _changed(weight: Tensor, change: Tensor | None) -> Tensor:
    """A copy of a weight in float32, with a change."""
    own = weight.detach().to(torch.float32, copy=True)
    return own if change is None else own.add_(change.view_as(own))


def _require_compatibility(embedding: Tensor, known: Tensor) -> None:
    similarity = float(embedding.detach() @ known.to(embedding))
    if similarity < LEAST_COMPATIBILITY:
        raise ModelUnavailableError(
            "the text encoder does not belong to the CLIP that the catalog names as its text_clip: "
            f"the cosine similarity of what both say of the prompt is {similarity:.2f}"
        )


def _states_before_norm(encoder: Module, weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """The input [N, L, D] of a text encoder's last norm."""
    _, norm = final_norm(encoder)
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    try:
        functional_call(encoder, weights, (ids,))
    finally:
        hook.remove()
    return seen[0]
