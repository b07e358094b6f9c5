"""The GPUs and cores of this machine, found without torch, and each worker's share."""

import os
import subprocess
from collections.abc import Mapping


def gpus(env: Mapping[str, str]) -> list[str]:
    """Names of the CUDA devices that may be used, as CUDA_VISIBLE_DEVICES takes them; none on a CPU."""
    if env.get("LODESTAR_DEVICE", "auto") == "cpu":
        return []
    if "CUDA_VISIBLE_DEVICES" in env:
        names = [name.strip() for name in env["CUDA_VISIBLE_DEVICES"].split(",")]
        return [name for name in names if name and name != "-1"]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(_gpu_lines(listing))]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_shares(workers: int | None, env: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment that gives each worker its own part of the machine.

    On CUDA each worker sees one GPU. On a CPU they share the cores out: two torch processes with all threads each slow
    each other down twentyfold.

    Args:
        workers: how many; by default one for each GPU, or one on a CPU.
        env: our own environment; its settings of devices and threads win.
    """
    devices = gpus(env)
    if devices:
        return [{"CUDA_VISIBLE_DEVICES": devices[n % len(devices)]} for n in range(workers or len(devices))]
    count = workers or 1
    threads = env.get("LODESTAR_THREADS") or str(max(1, cores() // count))
    return [{"LODESTAR_THREADS": threads, "OMP_NUM_THREADS": threads} for _ in range(count)]


def _gpu_lines(listing: str) -> list[str]:
    return [line for line in listing.splitlines() if line.startswith("GPU ")]
