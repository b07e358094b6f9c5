"""Encodings of texts that were asked for lately: pictures of one job, and most negative prompts, are the same text."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

SIZE = 256


class TextCache:
    """Encodes each text once, all new ones of a batch together, and forgets those not asked for longest."""

    def __init__(self, encode: Callable[[list[str]], Tensor]) -> None:
        """Remember nothing.

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
