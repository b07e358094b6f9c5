"""Splits a passage of a prompt into windows of a text encoder's context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.prompts.prompt import Passage

# A window ends at a comma if the last one is at most so many tokens back, as in AUTOMATIC1111's web UI.
COMMA_REACH = 20


@dataclass(frozen=True)
class Window:
    """One input of a text encoder.

    Attributes:
        tokens: as many as its context holds, its own ones included.
        hidden: places that it does not attend to.
    """

    tokens: tuple[int, ...]
    hidden: tuple[int, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """A window of a passage.

    Attributes:
        window: its tokens.
        weights: of each place; 1 for the encoder's own tokens.
        fragments: number of the fragment in each place; None for the encoder's own tokens.
    """

    window: Window
    weights: tuple[float, ...]
    fragments: tuple[int | None, ...]


@dataclass(frozen=True)
class _Token:
    id: int
    weight: float
    fragment: int


class Chunker:
    """Splits passages for one tokenizer."""

    def __init__(self, tokenizer: Any, length: int) -> None:
        """For a tokenizer of transformers, and a context of ``length`` tokens."""
        self._tokenizer, self._length = tokenizer, length
        commas = self._ids(",")
        self._comma = commas[0] if len(commas) == 1 else None

    def chunks(self, passage: Passage) -> list[Chunk]:
        """The windows of a passage, at least one; a comma is preferred where one ends."""
        tokens = [
            _Token(token, fragment.weight, number)
            for number, fragment in enumerate(passage)
            for token in self._ids(fragment.text)
        ]
        room, chunks = self._length - 2, []
        while len(tokens) > room:
            end = self._end(tokens[:room], tokens[room])
            chunks.append(self._chunk(tokens[:end]))
            tokens = tokens[end:]
        return [*chunks, self._chunk(tokens)]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _end(self, full: Sequence[_Token], following: _Token) -> int:
        """How many tokens of a full window stay in it."""
        if following.id == self._comma:
            return len(full)
        commas = [place for place, token in enumerate(full) if token.id == self._comma]
        return commas[-1] + 1 if commas and len(full) - commas[-1] <= COMMA_REACH else len(full)

    def _chunk(self, tokens: Sequence[_Token]) -> Chunk:
        bos, eos, pad = (getattr(self._tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad"))
        padding = self._length - len(tokens) - 2
        return Chunk(
            Window((bos, *(token.id for token in tokens), eos, *[pad] * padding)),
            (1.0, *(token.weight for token in tokens), *[1.0] * (padding + 1)),
            (None, *(token.fragment for token in tokens), *[None] * (padding + 1)),
        )
