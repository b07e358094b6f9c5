"""Damage to files that were whole."""

from collections.abc import Iterator
from random import Random

from benchmarks.fuzz.corpus.sample import Sample

_FLIPS = 8


def cut(whole: Sample, keep: float) -> Sample:
    """Only the first part of a file."""
    return Sample(
        f"cut-{round(keep * 100)}-{whole.name}", whole.data[: int(len(whole.data) * keep)], is_damaged=True
    )


def mutants(whole: Sample, chance: Random, number: int) -> Iterator[Sample]:
    """Copies with a few bytes changed, removed or doubled. Some are still readable."""
    for index in range(number):
        data = bytearray(whole.data)
        for _ in range(chance.randint(1, _FLIPS)):
            at = chance.randrange(len(data))
            match chance.choice(("flip", "flip", "remove", "double")):
                case "flip":
                    data[at] ^= 1 << chance.randrange(8)
                case "remove":
                    del data[at : at + chance.randint(1, 40)]
                case _:
                    data[at:at] = data[at : at + 100]
            if not data:
                break
        yield Sample(f"mutant-{index}-{whole.name}", bytes(data), is_damaged=True)
