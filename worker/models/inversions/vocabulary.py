"""What a text encoder reads of a text: its tokenizer's tokens, and vectors in the places of words that have some."""

from typing import Any

from worker.facts import Reading
from worker.models.inversions.words import Tokens, Words


class Vocabulary:
    """The tokens of texts for one text encoder.

    Attributes:
        tokenizer: of transformers.
        vectors: that the encoder reads for negative tokens, [V, D], -1 for the first; None without any.
    """

    def __init__(self, tokenizer: Any, words: Words) -> None:
        """For a tokenizer, and words beside its own."""
        self.tokenizer = tokenizer
        self._tokens = Tokens(words)
        self.vectors = self._tokens.vectors

    def groups(self, text: str) -> list[tuple[int, ...]]:
        """The tokens of a text; those of a word with vectors are one group.

        Raises:
            ModelUnavailableError: a word's vectors cannot be used.
        """
        groups: list[tuple[int, ...]] = []
        for part in self._tokens.parted(text):
            if isinstance(part, tuple):
                groups.append(part)
            elif part:
                ids = self.tokenizer(part, add_special_tokens=False, verbose=False).input_ids
                groups += [(token,) for token in ids]
        return groups

    def measure(self, text: str, *, limit: int) -> Reading:
        """The length of a text, and the part of it that is read; errors as for ``groups``.

        Args:
            text: the text.
            limit: tokens that are read, those that the tokenizer adds included.
        """
        tokens = sum(map(len, self.groups(text)))
        return Reading(tokens, limit - self.tokenizer.num_special_tokens_to_add(), limit)
