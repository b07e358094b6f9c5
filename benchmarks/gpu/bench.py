"""Times, kernels and memory of calls on a device."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.full_size import FULL, SMALL
from benchmarks.gpu.report import Report
from benchmarks.methods.models import Shapes
from worker.models.device import Device
from worker.models.footprint import peak_memory
from worker.settings import WorkerSettings

MIB = 2**20
TINY = replace(
    SMALL,
    unet=SMALL.unet
    | {
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
    px=64,
)


@dataclass(frozen=True)
class Bench:
    """What every part needs.

    Attributes:
        report: for the figures.
        device: of the networks, and their number format.
        small: whether to use tiny networks and few repeats, to see that everything runs.
    """

    report: Report
    device: Device
    small: bool

    @property
    def place(self) -> dict[str, Any]:
        """Device and number format, as arguments of a tensor's constructor."""
        return {"device": self.device.device, "dtype": self.device.dtype}

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.device.type == "cuda"

    @property
    def shapes(self) -> Shapes:
        """The networks: those of SD 1.5 and ViT-H-14, or tiny ones."""
        return TINY if self.small else FULL

    @property
    def sides(self) -> tuple[int, ...]:
        """Widths of pictures in pixels."""
        return (64,) if self.small else (512, 1024)

    def sync(self) -> None:
        """Wait until the device is idle."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device.device)

    def timed(self, run: Callable[[], object], repeats: int = 10, warming: int = 3) -> dict[str, float]:
        """Median and least wall time of a call in milliseconds; the device is idle before and after."""
        repeats, warming = (2, 1) if self.small else (repeats, warming)
        for _ in range(warming):
            run()
        times = []
        for _ in range(repeats):
            self.sync()
            began = time.perf_counter()
            run()
            self.sync()
            times.append(1e3 * (time.perf_counter() - began))
        return {"ms": round(statistics.median(times), 3), "least_ms": round(min(times), 3)}

    def kernels(self, run: Callable[[], object]) -> dict[str, float]:
        """Number of the kernels of a call, and the milliseconds that the device needs for them; empty without CUDA."""
        if not self.is_cuda:
            return {}
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            run()
            self.sync()
        seen_events: list[Any] = list(seen.events() or ())
        events = [event for event in seen_events if event.device_type.name == "CUDA"]
        return {
            "kernels": len(events),
            "kernel_ms": round(sum(event.device_time for event in events) / 1e3, 3),
        }

    def peak_mib(self, run: Callable[[], object]) -> float:
        """Peak memory of a call."""
        self.release()
        with peak_memory(self.device.device) as peak:
            run()
            self.sync()
        return round(peak() / MIB)

    def cost(self, run: Callable[[], object], repeats: int = 10, warming: int = 3) -> dict[str, float]:
        """Time, kernels and memory of a call."""
        return {**self.timed(run, repeats, warming), **self.kernels(run), "mib": self.peak_mib(run)}

    def release(self) -> None:
        """Give back the device's memory that nothing uses any more."""
        if self.is_cuda:
            self.device.empty_cache()


def bench(report: Report, *, small: bool) -> Bench:
    """A bench on the best device of this machine, with the worker's defaults."""
    return Bench(report, Device(WorkerSettings(attention="sdpa")), small)
