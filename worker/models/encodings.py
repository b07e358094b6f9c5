"""Remembers the latest encodings, since the pictures of a job share theirs."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


class EncodingCache(Generic[Item]):
    """Encodes each item once, all new ones of a batch together; evicts the least recently used."""

    def __init__(
        self, encode: Callable[[list[Item]], Tensor], name: Callable[[Item], str], *, size: int
    ) -> None:
        """Make an empty cache.

        Args:
            encode: N items to [N, ...].
            name: tells items apart.
            size: number of encodings that are kept.
        """
        self._encode, self._name, self._size = encode, name, size
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def __call__(self, items: Sequence[Item]) -> Tensor:
        """The encodings [N, ...] of N items, which may repeat; they have one shape."""
        names = [self._name(item) for item in items]
        new = {name: item for name, item in zip(names, items, strict=True) if name not in self._known}
        if new:
            # Each a tensor of its own: a row of the batch would keep the whole batch in memory.
            made = [row.clone() for row in self._encode(list(new.values())).split(1)]
            self._known.update(zip(new, made, strict=True))
        found = torch.cat([self._known[name] for name in names])
        for name in names:
            self._known.move_to_end(name)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return found
