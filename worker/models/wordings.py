"""Encodes prompts with weights: the states of a text encoder, by the rule of the prompt's syntax."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace

import torch
from torch import Tensor

from jobs.prompts.prompt import LongPrompt, Part, Passage, PromptSyntax, Wording
from worker.models.chunks import Chunk, Chunker, Window
from worker.models.inversions.vocabulary import Vocabulary
from worker.rows import TextStates

KEPT = 512  # windows
AT_ONCE = 32  # windows; the memory of a batch must not depend on a prompt's length
LEAST = 1e-5  # weight of a fragment in compel's tangent

Encode = Callable[[Tensor, Tensor | None, Sequence[int]], TextStates]


class WordingEncoder:
    """Wordings to contexts; keeps the latest windows' states."""

    def __init__(
        self, vocabulary: Vocabulary, length: int, encode: Encode, device: torch.device, kept: int = KEPT
    ) -> None:
        """For one text encoder.

        Args:
            vocabulary: of the encoder.
            length: of the encoder's context, L.
            encode: tokens [N, L], an attention mask [N, L] or None and the clip skip of each row to states: the
                context [N, L, D], and pooled ones [N, P] or None.
            device: of the tokens.
            kept: windows whose states are kept.
        """
        self._kept = kept
        self._chunker, self._encode, self._device = Chunker(vocabulary, length), encode, device
        self._known: OrderedDict[Window, TextStates] = OrderedDict()

    def __call__(self, wordings: Sequence[Wording]) -> list[TextStates]:
        """The states of each wording: of all its windows in the context, and pooled of the first without weights.

        Raises:
            ModelUnavailableError: a textual inversion that one names cannot be used.
        """
        needed = {window for wording in wordings for window in self._windows(wording)}
        self._learn(sorted(needed - self._known.keys(), key=astuple))
        encoded = [TextStates(self._context(wording), self._pooled(wording)) for wording in wordings]
        for window in needed:
            self._known.move_to_end(window)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        return encoded

    def _learn(self, windows: Sequence[Window]) -> None:
        """Encode windows, those with hidden places apart, since a mask takes another path through the encoder."""
        for is_masked in (False, True):
            some = [window for window in windows if bool(window.hidden) == is_masked]
            for start in range(0, len(some), AT_ONCE):
                part = some[start : start + AT_ONCE]
                tokens = torch.tensor([window.tokens for window in part], device=self._device)
                mask = torch.ones_like(tokens) if is_masked else None
                for row, window in enumerate(part if mask is not None else ()):
                    mask[row, list(window.hidden)] = 0  # type: ignore[index]
                states = self._encode(tokens, mask, [window.clip_skip for window in part])
                # As views, each window would keep its whole batch in memory.
                self._known.update(zip(part, _apart(states), strict=True))

    def _windows(self, wording: Wording) -> Iterator[Window]:
        """All windows that a wording's context is made of."""
        for part in wording.parts:
            for passage in part.passages:
                chunks = self._chunks(passage, wording)
                yield from (chunk.window for chunk in chunks)
                if wording.syntax == PromptSyntax.COMPEL:
                    for fragment in _weakened(passage):
                        yield from (_without(chunk, fragment) for chunk in chunks)
        yield self._empty(wording.clip_skip)

    def _empty(self, clip_skip: int) -> Window:
        """The window of an empty text."""
        return self._chunker.chunks((), clip_skip)[0].window

    def _chunks(self, passage: Passage, wording: Wording) -> list[Chunk]:
        chunks = self._chunker.chunks(passage, wording.clip_skip)
        return chunks[:1] if wording.long_prompt == LongPrompt.CUT else chunks

    def _context(self, wording: Wording) -> Tensor:
        return torch.cat([self._part(part, wording) for part in wording.parts], dim=1)

    def _pooled(self, wording: Wording) -> Tensor | None:
        """The pooled state [1, P] of the first window, as a text without weights; of a blend, the weighted mean."""
        part, mean = wording.parts[0], None
        for share, passage in zip(part.shares, part.passages, strict=True):
            pooled = self._known[self._chunks(passage, wording)[0].window].pooled
            if pooled is None:
                return None
            mean = share * pooled if mean is None else mean + share * pooled
        return mean

    def _part(self, part: Part, wording: Wording) -> Tensor:
        """The states of a part: the mean of its passages, the shorter ones filled up with the empty text's."""
        passages = [self._passage(passage, wording) for passage in part.passages]
        longest = max(passage.shape[1] for passage in passages)
        if len(passages) == 1:
            mean = passages[0]
        else:
            filled = [self._filled(passage, longest, wording.clip_skip) for passage in passages]
            mean = sum(
                (share * passage for share, passage in zip(part.shares, filled, strict=True)),
                start=torch.zeros_like(filled[0]),
            )
        if part.weight == 1:
            return mean
        nothing = self._filled(mean[:, :0], longest, wording.clip_skip)
        return nothing + part.weight * (mean - nothing)

    def _filled(self, states: Tensor, length: int, clip_skip: int) -> Tensor:
        """States, and those of the empty text up to a length."""
        empty = self._known[self._empty(clip_skip)].context
        times = (length - states.shape[1]) // empty.shape[1]
        return torch.cat([states, *[empty] * times], dim=1)

    def _passage(self, passage: Passage, wording: Wording) -> Tensor:
        chunks = self._chunks(passage, wording)
        if wording.syntax == PromptSyntax.COMPEL:
            return self._by_compel(passage, chunks)
        return torch.cat(
            [_scaled(self._known[chunk.window].context, chunk.weights) for chunk in chunks], dim=1
        )

    def _by_compel(self, passage: Passage, chunks: Sequence[Chunk]) -> Tensor:
        """States by compel's rule.

        Each place moves away from the empty text's state by its weight, z0 + w (z - z0). For each fragment of a weight
        below 1 the states without it, its places hidden, are mixed in with the weight tan(pi / 2 (1 - w)).
        """
        mixed, total = self._moved(chunks, None), 1.0
        for fragment in _weakened(passage):
            share = math.tan((1 - max(LEAST, passage[fragment].weight)) * math.pi / 2)
            mixed, total = mixed + share * self._moved(chunks, fragment), total + share
        return mixed / total

    def _moved(self, chunks: Sequence[Chunk], hidden: int | None) -> Tensor:
        empty = self._known[self._empty(chunks[0].window.clip_skip)].context
        moved = []
        for chunk in chunks:
            window = chunk.window if hidden is None else _without(chunk, hidden)
            states, weights = self._known[window].context, _column(chunk.weights, empty)
            moved.append(torch.where(weights == 1, states, empty + weights * (states - empty)))
        return torch.cat(moved, dim=1)


def _apart(states: TextStates) -> list[TextStates]:
    """The states of each window of a batch, in memory of their own."""
    contexts = [row.clone() for row in states.context.split(1)]
    pooled = (
        [None] * len(contexts) if states.pooled is None else [row.clone() for row in states.pooled.split(1)]
    )
    return [TextStates(*each) for each in zip(contexts, pooled, strict=True)]


def _scaled(states: Tensor, weights: Sequence[float]) -> Tensor:
    """States [1, L, D] by the web UI's rule: each place times its weight, then all so that their mean stays.

    The mean is that of this window alone, so that a picture does not depend on who shares its batch.
    """
    if all(weight == 1 for weight in weights):
        return states
    wide = states.float()
    scaled = wide * _column(weights, wide)
    return (scaled * (wide.mean() / scaled.mean())).to(states.dtype)


def _column(weights: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(weights, dtype=like.dtype, device=like.device).view(1, -1, 1)


def _weakened(passage: Passage) -> list[int]:
    """The numbers of the fragments with weights below 1."""
    return [number for number, fragment in enumerate(passage) if fragment.weight < 1]


def _without(chunk: Chunk, fragment: int) -> Window:
    """The window of a chunk with a fragment's places hidden."""
    hidden = tuple(place for place, number in enumerate(chunk.fragments) if number == fragment)
    return replace(chunk.window, hidden=hidden)
