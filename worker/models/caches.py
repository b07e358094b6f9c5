"""Remembers what was wanted last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Latest(Generic[Key, Value]):
    """Values by their keys; gives up the least recently used."""

    def __init__(self, size: int) -> None:
        """Remember nothing yet.

        Args:
            size: number of values that are kept.
        """
        self._size = size
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def of(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not known."""
        value = self._known.pop(key) if key in self._known else make()
        self._known[key] = value
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all of them."""
        self._known.clear()


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
