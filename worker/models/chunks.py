"""Splits a passage of a prompt into windows of a text encoder's context."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.prompts.prompt import Passage
from worker.models.inversions.vocabulary import Vocabulary

# A window ends at a comma if the last one is at most so many tokens back, as in AUTOMATIC1111's web UI.
COMMA_REACH = 20


@dataclass(frozen=True)
class Window:
    """One input of a text encoder.

    Attributes:
        tokens: as many as its context holds, its own ones included.
        hidden: places that it does not attend to.
        clip_skip: layers before the usual one whose states are read.
    """

    tokens: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    clip_skip: int = 0


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
    goes_on: bool  # a window may not end before it


class Chunker:
    """Splits passages for one text encoder."""

    def __init__(self, vocabulary: Vocabulary, length: int) -> None:
        """For a context of ``length`` tokens of a vocabulary."""
        self._vocabulary, self._length = vocabulary, length
        commas = vocabulary.groups(",")
        self._comma = commas[0][0] if len(commas) == 1 else None

    def chunks(self, passage: Passage, clip_skip: int = 0) -> list[Chunk]:
        """The windows of a passage, at least one; a comma is preferred where one ends.

        The vectors of a word stay together.

        Args:
            passage: to split.
            clip_skip: of every window.

        Raises:
            ModelUnavailableError: those of one cannot be used.
        """
        tokens = [
            _Token(token, fragment.weight, number, goes_on=place > 0)
            for number, fragment in enumerate(passage)
            for group in self._vocabulary.groups(fragment.text)
            for place, token in enumerate(group)
        ]
        room, chunks = self._length - 2, []
        while len(tokens) > room:
            end = self._end(tokens[: room + 1])
            chunks.append(self._chunk(tokens[:end], clip_skip))
            tokens = tokens[end:]
        return [*chunks, self._chunk(tokens, clip_skip)]

    def _end(self, tokens: Sequence[_Token]) -> int:
        """How many tokens of a full window stay in it, of these and the one that follows."""
        end = len(tokens) - 1
        if tokens[end].id == self._comma:
            return end
        commas = [place for place, token in enumerate(tokens[:end]) if token.id == self._comma]
        if commas and end - commas[-1] <= COMMA_REACH:
            return commas[-1] + 1
        while end > 1 and tokens[end].goes_on:
            end -= 1
        return end

    def _chunk(self, tokens: Sequence[_Token], clip_skip: int) -> Chunk:
        bos, eos, pad = (
            getattr(self._vocabulary.tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")
        )
        padding = self._length - len(tokens) - 2
        return Chunk(
            Window((bos, *(token.id for token in tokens), eos, *[pad] * padding), clip_skip=clip_skip),
            (1.0, *(token.weight for token in tokens), *[1.0] * (padding + 1)),
            (None, *(token.fragment for token in tokens), *[None] * (padding + 1)),
        )
