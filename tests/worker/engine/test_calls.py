"""A new kind of model call needs its class and one entry of the table, and nothing else."""

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

import worker.engine.plans
from jobs.requests.request import ResolvedRequest
from tests.worker.running import Running, pictures
from worker.calls import Call
from worker.engine.batches import BATCHES
from worker.engine.runner import Runner
from worker.engine.work import Failed, Work
from worker.events import Yield
from worker.facts import Facts
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.raster import Raster
from worker.sampling.inputs import SamplerInputs
from worker.states.state import PictureState

Ask = Callable[..., ResolvedRequest]


@dataclass(frozen=True)
class Square(Call):
    """Square a number. Answer: a float."""

    number: float
    rows: int = 1

    @property
    def key(self) -> Hashable:
        return Square

    @property
    def size(self) -> int:
        return self.rows


@dataclass(frozen=True)
class SmallSquare(Square):
    """The same, in batches of three rows at most."""

    max_batch_size: ClassVar[float] = 3

    @property
    def key(self) -> Hashable:
        return SmallSquare


def squares(
    kind: type[Square],
) -> Callable[..., Generator[Yield, Any, Picture]]:
    """A sampler whose picture has the square of its seed as every value."""

    def sample(
        request: ResolvedRequest, index: int, facts: Facts, inputs: SamplerInputs, state: PictureState | None
    ) -> Generator[Yield, Any, Picture]:
        square: float = yield kind(request.seed + index)
        pixels = torch.full((3, 1, 1), square)
        return Picture(index, request.seed, pixels, Raster(pixels), 0.0)

    return sample


# The runner learns the memory of a new kind from one call alone, so the first batch has two parts.
@pytest.mark.parametrize(("kind", "batches"), [(Square, [1, 4]), (SmallSquare, [1, 2, 2])])
def test_a_kind_of_call_that_is_in_the_table_is_batched_and_answered(
    kind: type[Square], batches: list[int], models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def run(calls: Sequence[Square], models: ModelRegistry) -> list[float]:
        sizes.append(len(calls))
        return [call.number**2 for call in calls]

    monkeypatch.setitem(BATCHES, kind, run)
    monkeypatch.setattr(worker.engine.plans, "sample", squares(kind))
    monkeypatch.setattr("worker.engine.engine.BEGIN_S", 60)  # all samplers before the first batch
    running = Running(models)
    running.engine.admit(Work("job", ask(seed=3, num_images=5)))
    (outcome,) = running.wait_for("job")
    running.stop()
    assert [float(each[0, 0, 0]) for each in pictures(outcome)] == [9, 16, 25, 36, 49]
    assert sizes == batches


def test_the_runner_divides_a_batch_of_any_kind_of_call_by_what_fits(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(calls: Sequence[Square], models: ModelRegistry) -> list[float]:
        if sum(call.size for call in calls) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [call.number**2 for call in calls]

    kind: type[Call] = Square
    monkeypatch.setitem(BATCHES, kind, run)
    assert Runner(models).run([Square(n, rows=2) for n in range(6)]) == [0, 1, 4, 9, 16, 25]


def test_a_kind_of_call_that_is_not_in_the_table_fails_its_own_job(
    models: ModelRegistry, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.engine.plans, "sample", squares(Square))
    running = Running(models)
    running.engine.admit(Work("job", ask()))
    (outcome,) = running.wait_for("job")
    running.stop()
    assert isinstance(outcome, Failed)
