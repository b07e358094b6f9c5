"""Measures texts and remembers their latest encodings."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.facts import Reading
from worker.models.caches import EncodingCache

SIZE = 256


def measured(tokenizer: Any, text: str, *, limit: int, own: int | None = None) -> Reading:
    """The length of a text, and the part of it that is read.

    Args:
        tokenizer: of transformers.
        text: the text.
        limit: tokens that are read.
        own: number of these that are not the text's; None for those that the tokenizer adds.
    """
    tokens = len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
    own = tokenizer.num_special_tokens_to_add() if own is None else own
    return Reading(tokens, limit - own, limit)


class TextCache(EncodingCache[str]):
    """The latest encodings of texts."""

    def __init__(self, encode: Callable[[list[str]], Tensor]) -> None:
        """Make an empty cache.

        Args:
            encode: N texts to [N, ...].
        """
        super().__init__(encode, str, size=SIZE)


def require_vocabulary(tokenizer: Any, tokens: int) -> None:
    """Refuse a tokenizer that knows tokens for which the text encoder's table has no row.

    Args:
        tokenizer: of transformers.
        tokens: rows of the table.

    Raises:
        ModelUnavailableError: it does.
    """
    highest = max(tokenizer.get_vocab().values())
    if highest >= tokens:
        raise ModelUnavailableError(
            f"the tokenizer numbers its tokens up to {highest}, and the text encoder knows {tokens}"
        )
