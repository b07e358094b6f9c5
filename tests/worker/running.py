"""An engine on a thread of its own, for tests."""

import threading

import torch

from worker.engine.engine import Engine
from worker.engine.runner import Runner
from worker.engine.work import Finished, Outcome, Work
from worker.models.registry import ModelRegistry

# What other batch sizes may change in a picture of values in [0, 1]: a quarter of an 8-bit level. Seen: up to 1e-5.
TOLERANCE = 1e-3


class Running:
    """An engine at work, and what came out of it."""

    def __init__(self, models: ModelRegistry) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._left = threading.Condition()
        self.engine = Engine(Runner(models), self._note)
        self._thread = threading.Thread(target=self.engine.serve, daemon=True)
        self._thread.start()

    def _note(self, work: Work, outcome: Outcome) -> None:
        with self._left:
            assert work.id not in self.outcomes
            self.outcomes[work.id] = outcome
            self._left.notify_all()

    def wait_for(self, *ids: str) -> list[Outcome]:
        """The outcomes of these jobs, as soon as all are there."""
        with self._left:
            assert self._left.wait_for(lambda: all(job in self.outcomes for job in ids), timeout=120)
        return [self.outcomes[job] for job in ids]

    def stop(self) -> None:
        """Close the engine, and see it end."""
        self.engine.close()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


def pictures(outcome: Outcome) -> list[torch.Tensor]:
    """The pictures of a job that has to be finished."""
    assert isinstance(outcome, Finished), outcome
    return [picture.pixels for picture in outcome.pictures]
