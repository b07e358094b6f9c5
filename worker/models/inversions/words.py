"""The words of a model that textual inversions stand behind."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError

# By word: vectors [n, D], or why they cannot be used.
Words = Mapping[str, Tensor | ModelUnavailableError]


@dataclass(frozen=True)
class Room:
    """What a text encoder has room for.

    Attributes:
        width: D, of its states.
        tokens: of a text that it reads at once.
    """

    width: int
    tokens: int


# From the text encoders of a model to the words of each, by their names in adapters' files.
FindWords = Callable[[Mapping[str, Room]], Mapping[str, Words]]


def no_words(encoders: Mapping[str, Room]) -> Mapping[str, Words]:
    """None for any encoder."""
    return {name: {} for name in encoders}


class Tokens:
    """The tokens of words with vectors, for one text encoder.

    They are negative, -1 for the first of all vectors: an encoder finds the end of a text by its highest token.

    Attributes:
        vectors: of all words, one after another, [V, D]; None without any.
    """

    def __init__(self, words: Words) -> None:
        """Number the vectors of words."""
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._pattern = re.compile(
            rf"(?<!\w)(?:{'|'.join(f'({re.escape(word)})' for word in longest_first)})(?!\w)", re.IGNORECASE
        )
        self._of_words: list[tuple[int, ...] | ModelUnavailableError] = []
        tables: list[Tensor] = []
        for word in longest_first:
            vectors = words[word]
            if isinstance(vectors, ModelUnavailableError):
                self._of_words.append(vectors)
                continue
            first = -1 - sum(map(len, tables))
            self._of_words.append(tuple(range(first, first - len(vectors), -1)))
            tables.append(vectors)
        self.vectors: Tensor | None = torch.cat(tables) if tables else None

    def parted(self, text: str) -> list[str | tuple[int, ...]]:
        """A text without its words, as it stands between these, and the tokens of each word in its place.

        A word is a whole one: no letter, digit or underscore stands beside it. Where several begin, the longest counts.

        Raises:
            ModelUnavailableError: a word's vectors cannot be used.
        """
        if not self._of_words:
            return [text]
        parts: list[str | tuple[int, ...]] = []
        place = 0
        for found in self._pattern.finditer(text):
            tokens = self._of_words[(found.lastindex or 1) - 1]
            if isinstance(tokens, ModelUnavailableError):
                raise tokens
            parts += [text[place : found.start()], tokens]
            place = found.end()
        return [*parts, text[place:]]
