"""Runs batches of model calls within the available memory, and keeps the failure of one call from the others."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import structlog

from jobs.errors import DeviceLostError, JobFailedError, LodestarError, OutOfMemoryError
from worker.calls import Call
from worker.engine.batches import BATCHES
from worker.engine.memory import MemoryModel
from worker.events import Event, Fetch
from worker.models.failures import Failure, failure_of
from worker.models.footprint import peak_memory
from worker.models.registry import ModelRegistry

log = structlog.get_logger(__name__)


class Runner:
    """Answers one batch of calls at a time, on the engine's thread.

    A batch that does not fit the memory is run in parts. When a part fails, its halves are tried, down to single calls:
    only a call that fails alone remains without an answer.
    """

    def __init__(self, models: ModelRegistry, on_batch: Callable[[str, int], None] = lambda *_: None) -> None:
        """Make one.

        Args:
            models: those in memory.
            on_batch: told the kind of the calls of each batch, and its rows.
        """
        self.models = models
        self.max_batch = models.device.max_batch
        self._on_batch = on_batch
        self._memory = MemoryModel(models.device.free_bytes, models.device.batch_bytes)

    def run(self, batch: Sequence[Call]) -> list[object]:
        """The answers to calls of one key, in their order; a LodestarError for a call that has none.

        Raises:
            DeviceLostError: neither these calls nor any others can be answered.
        """
        answers: list[object] = []
        while len(answers) < len(batch):
            rest = batch[len(answers) :]
            sizes = [_memory_size(call) for call in rest]
            answers += self._attempt(rest[: self._memory.fitting(self._kind(rest[0]), sizes)])
        return answers

    def answer(self, asked: Call | Event) -> object:
        """The answer to a single call, or to an event as far as it has one.

        Raises:
            LodestarError: it has none.
            DeviceLostError: as for ``run``.
        """
        if isinstance(asked, Event):
            return asked.read() if isinstance(asked, Fetch) else None
        (answer,) = self.run([asked])
        if isinstance(answer, LodestarError):
            raise answer
        return answer

    def _attempt(self, part: Sequence[Call]) -> list[object]:
        """Run a part as one batch; when that fails, its halves, or a single call in smaller micro-batches."""
        kind, size = self._kind(part[0]), sum(_memory_size(call) for call in part)
        try:
            return self._measured(part, kind, size)
        except DeviceLostError:
            raise
        except Exception as error:
            failure = self._failure(error, part, kind, size)
        if len(part) == 1:
            is_smaller = self._kind(part[0]) != kind  # the micro-batch, since the size before was refused
            return self._attempt(part) if is_smaller else [failure]
        half = (len(part) + 1) // 2
        return self._attempt(part[:half]) + self._attempt(part[half:])

    def _failure(self, error: Exception, part: Sequence[Call], kind: Hashable, size: int) -> LodestarError:
        """The answer to a call that failed alone; an out-of-memory error also empties the allocator's cache.

        The error of several calls may be the fault of one of them, such as a prompt that a model cannot read.

        Raises:
            DeviceLostError: it is the device's fault.
        """
        whose = failure_of(error, self.models.device.answers)
        if whose is Failure.DEVICE:
            raise DeviceLostError(f"the device is lost: {error}") from error
        what = type(part[0]).__name__.lower()
        log.warning("batch failed", call=what, calls=len(part), error=str(error))
        # Its frames would keep the tensors of the batch in memory.
        error = error.with_traceback(None)
        if isinstance(error, LodestarError):
            return error
        if whose is Failure.MEMORY:
            self._memory.refuse(kind, size)
            self.models.device.empty_cache()
            failure: LodestarError = OutOfMemoryError(
                "the picture does not fit the device's memory, even alone"
            )
        else:
            failure = JobFailedError(f"{type(error).__name__} in {what}")
        failure.__cause__ = error
        return failure

    def _measured(self, part: Sequence[Call], kind: Hashable, size: int) -> list[Any]:
        if not self._memory.worth_measuring(kind, size):
            return self._batch(part)
        with peak_memory(self.models.device.device) as peak:
            answers = self._batch(part)
        self._memory.note(kind, size, peak(), disturbed=peak.disturbed)
        return answers

    def _batch(self, part: Sequence[Call]) -> list[Any]:
        call = part[0]
        run = BATCHES[type(call)]
        self._on_batch(type(call).__name__.lower(), sum(each.size for each in part))
        if call.micro_batches:
            return run(part, self.models, self._micro_batch(call))
        return run(part, self.models)

    def _kind(self, call: Call) -> Hashable:
        """Calls of one kind take memory alike."""
        return (call.key, self._micro_batch(call)) if call.micro_batches else call.key

    def _micro_batch(self, call: Call) -> int:
        """The largest micro-batch that fits beside one call, or is not known not to."""
        for size in call.micro_batches:
            largest = self._memory.largest((call.key, size))
            if largest is None or largest >= 1:
                return size
        return call.micro_batches[-1]


def _memory_size(call: Call) -> int:
    """Size of a call in the memory of its batch; with micro-batches, that does not depend on its rows."""
    return 1 if call.micro_batches else call.size
