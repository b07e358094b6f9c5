"""Where the particles of a group wait for each other, and learn whose line each goes on with."""

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

from worker.events import Meet, Met
from worker.sampling.resampling.weighing import ancestors, log_potential, shares

Owner = TypeVar("Owner")


class Meetings(Generic[Owner]):
    """The meetings of one job. Each particle comes once to each."""

    def __init__(self) -> None:
        """Expect nobody."""
        self._waiting: dict[tuple[int, int], list[tuple[Owner, Meet]]] = {}

    def come(self, owner: Owner, meet: Meet) -> Sequence[tuple[Owner, Met]]:
        """Let a particle come to a meeting; when it is the last one, all that wait there, each with its answer."""
        place = meet.group, meet.number
        here = self._waiting.setdefault(place, [])
        here.append((owner, meet))
        if len(here) < meet.size:
            return ()
        del self._waiting[place]
        here.sort(key=lambda pair: pair[1].member)  # in whichever order they came
        return [
            (owner, answer)
            for (owner, _), answer in zip(here, _drawn([meet for _, meet in here]), strict=True)
        ]


def _drawn(group: Sequence[Meet]) -> list[Met]:
    """The answer of each particle of a group, all of them from the states as they are now."""
    first = group[0]
    weighed = [log_potential(first.potential, meet.past, meet.reward) for meet in group]
    # The same draws for the same job, in whichever batches its pictures were.
    start = random.Random(f"{first.seed} {first.group} {first.number}").random()
    found = ancestors(shares(weighed, first.strength), start)
    copies = {number: group[number].state.snapshot() for own, number in enumerate(found) if own != number}
    return [
        Met(
            number,
            None if number == own else copies[number],
            group[number].past.then(group[number].reward),
        )
        for own, number in enumerate(found)
    ]
