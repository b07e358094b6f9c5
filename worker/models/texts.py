"""Measures texts and remembers their latest encodings, since the pictures of a job share theirs."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.facts import Reading

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


class TextCache:
    """Encodes each text once, all new ones of a batch together; evicts the least recently used."""

    def __init__(self, encode: Callable[[list[str]], Tensor]) -> None:
        """Make an empty cache.

        Args:
            encode: N texts to [N, ...].
        """
        self._encode = encode
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """The encodings [N, ...] of N texts, which may repeat."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._encode(missing).split(1), strict=True))
        found = torch.cat([self._known[text] for text in texts])
        for text in texts:
            self._known.move_to_end(text)
        while len(self._known) > SIZE:
            self._known.popitem(last=False)
        return found


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
