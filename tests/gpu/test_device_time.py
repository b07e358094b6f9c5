"""The engine beside a real device: its time, its run ahead, and its pictures on their way out."""

import time

import torch

from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from tests.worker.conftest import ROOT
from tests.worker.running import Running, pictures
from worker.engine.device_time import AHEAD, CudaSpan, Launched, spans_of
from worker.engine.work import Finished, Work
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.raster import Raster
from worker.settings import WorkerSettings


def work_for_the_device(times: int) -> None:
    matrix = torch.ones(4096, 4096, device="cuda")
    for _ in range(times):
        matrix = (matrix @ matrix).clamp(0, 1)


def test_a_span_is_over_when_the_device_is_and_has_the_devices_seconds() -> None:
    work_for_the_device(1)
    torch.cuda.synchronize()
    began = time.perf_counter()
    span = CudaSpan()
    work_for_the_device(100)
    span.end()
    launched_s = time.perf_counter() - began
    before = span.is_over
    seconds = span.seconds()
    assert (before, span.is_over) == (False, True)
    assert launched_s < seconds < time.perf_counter() - began


def test_a_launch_returns_before_the_device_is_done_and_at_most_one_batch_waits() -> None:
    done: list[str] = []
    launched = Launched[str](spans_of(torch.device("cuda")), lambda batch, _: done.append(batch))
    for batch in "abcd":
        launched.launch(batch, lambda: work_for_the_device(100))
        launched.settle()
        assert len(done) >= "abcd".index(batch) - AHEAD
    launched.settle(0)
    assert done == list("abcd")


def test_a_picture_leaves_the_device_as_the_bytes_that_a_cpu_would_have_rounded_it_to() -> None:
    pixels = torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(0))
    raster = Raster(pixels.cuda())
    assert (raster.levels() == Raster(pixels).levels()).all()
    assert not Raster(torch.full((3, 8, 8), float("nan"), device="cuda")).is_finite


def test_jobs_are_charged_no_more_than_the_time_that_passed() -> None:
    models = ModelRegistry(load_catalog(ROOT / "models.toml"), Device(WorkerSettings()))
    running, began = Running(models), time.monotonic()
    for seed in range(4):
        request = GenerateRequest(prompt="a red apple", steps=10, seed=seed)
        running.engine.admit(Work(str(seed), resolve(request, models.catalog)))
    outcomes = running.wait_for(*"0123")
    running.stop()
    assert 0 < running.engine.busy_s <= time.monotonic() - began
    for outcome in outcomes:
        assert isinstance(outcome, Finished)
        assert pictures(outcome)[0].device.type == "cuda"  # scored where it was made
