"""Part ``env``: what lies between the host and the device."""

import platform
import time
from collections.abc import Callable

import diffusers
import torch

from benchmarks.gpu.bench import MIB, Bench
from benchmarks.gpu.report import Values

CALLS = 200
TURN_US = 200.0  # bookkeeping that a batch may cost


def measure(bench: Bench) -> None:
    """Versions, noise on the host, copies both ways, and the cost of a look at the memory."""
    report = bench.report
    report.figure("versions", lambda: _versions(bench))
    drawn = (4 if bench.small else 48, 3, 224, 224)
    report.figure("noise of the cutouts on the host", lambda: bench.timed(lambda: torch.randn(drawn), 5, 1))
    if not bench.is_cuda:
        return report.rule("copies and looks at the memory need a GPU")
    for mib in (2, 4, 28):
        report.figure(f"copies of {mib} MiB", lambda mib=mib: _copies(bench, mib))  # type: ignore[misc]
    report.rule("28 MiB take 3 to 9 ms pageable and less than 1.5 ms pinned; else look at the host's memory")
    looks = [
        report.figure(name, lambda look=look: _look(look))  # type: ignore[misc]
        for name, look in (
            ("mem_get_info", torch.cuda.mem_get_info),
            ("memory_allocated", torch.cuda.memory_allocated),
        )
    ]
    total = sum(float(look.get("us", 0)) for look in looks)
    report.rule(f"both looks take more than {TURN_US:g} us: look at every 16th batch only", total > TURN_US)


def _versions(bench: Bench) -> Values:
    name = torch.cuda.get_device_name() if bench.is_cuda else platform.processor() or platform.machine()
    return {
        "device": name,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "dtype": bench.device.dtype_name,
    }


def _copies(bench: Bench, mib: int) -> Values:
    pageable = torch.empty(mib * MIB, dtype=torch.uint8)
    pinned, there = pageable.pin_memory(), pageable.to(bench.device.device)
    return {
        "up_ms": bench.timed(lambda: pageable.to(bench.device.device))["ms"],
        "up_pinned_ms": bench.timed(lambda: pinned.to(bench.device.device, non_blocking=True))["ms"],
        "down_ms": bench.timed(there.cpu)["ms"],
        "down_pinned_ms": bench.timed(lambda: pinned.copy_(there, non_blocking=True))["ms"],
    }


def _look(look: Callable[[], object]) -> Values:
    began = time.perf_counter()
    for _ in range(CALLS):
        look()
    return {"us": round(1e6 * (time.perf_counter() - began) / CALLS, 1)}
