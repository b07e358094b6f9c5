"""The device of a worker, its number format and its attention."""

import copy
import gc
import math
import os
import time
from importlib.util import find_spec
from pathlib import Path

import structlog
import torch

from jobs.errors import ConfigurationError
from worker.models.failures import is_out_of_memory
from worker.models.footprint import resident_bytes
from worker.models.networks.attention import choose_attention, xformers_kernel
from worker.models.networks.capture import CudaCapture
from worker.models.networks.graphs import GraphPool
from worker.settings import WorkerSettings

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

# A few jobs fill a CPU: more at a time hardly raise the throughput, and delay the last of them a lot
# (docs/engine.md, Measuring).
CPU_CAPACITY, CAPACITY = 6, 16

FREE_SHARE = (
    0.8  # of the free memory that one batch may take; the rest is for fragments and for other threads
)

GRAPH_SHARE = 0.1  # of the device's memory, for all CUDA graphs

FREE_FOR_S = 0.05  # that a reading of the free memory is good; it costs as much as a small step

CGROUP = Path("/sys/fs/cgroup")

log = structlog.get_logger(__name__)


class Device:
    """The device of this worker, its number format, and the limits of its use.

    Attributes:
        device: the torch device.
        dtype_name: fp16, bf16 or fp32.
        attention: "xformers", for the attentions that choose it, or "sdpa".
        graphs: the CUDA graphs of all networks; None without.
        compiles: whether denoisers are compiled.
        capacity: jobs at a time.
        max_batch: calls in one batch at most.
        batch_bytes: memory that one batch may take, if so much is free.
        model_bytes: memory that all models together may take.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        """Choose the values that the settings leave open.

        Raises:
            ConfigurationError: this machine lacks a device or a library that the settings name.
        """
        self.device = _device(settings.device)
        self.dtype_name: str = _dtype(settings.dtype, self.device)
        self.attention = _attention(settings, self.device)
        self.compiles = settings.compile == "on"
        self._kernel = xformers_kernel() if self.attention == "xformers" else None
        if self._kernel is None:
            self.attention = "sdpa"
        self._by_speed = settings.attention == "auto"
        self.graphs = (
            GraphPool(CudaCapture(self.device), GRAPH_SHARE * self.total_bytes())
            if settings.cuda_graphs and self.device.type == "cuda"
            else None
        )
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.threads = torch.get_num_threads()
        self.capacity = settings.capacity or (CPU_CAPACITY if self.device.type == "cpu" else CAPACITY)
        self._free_at, self._free_bytes = -FREE_FOR_S, 0
        self.max_batch = settings.max_batch
        gib = 2**30
        self.batch_bytes = settings.batch_memory_gib * gib if settings.batch_memory_gib else math.inf
        self.model_bytes = (
            settings.model_memory_gib * gib if settings.model_memory_gib else self.total_bytes() / 2
        )

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the models."""
        return DTYPES[self.dtype_name]

    @property
    def kind(self) -> str:
        """What it has in common with devices that compute alike: its type and the format of its numbers."""
        return f"{self.device.type} {self.dtype_name}"

    @property
    def home(self) -> "Device":
        """The same with the host's memory in place of the device's."""
        home = copy.copy(self)
        home.device = torch.device("cpu")
        return home

    def free_bytes(self) -> int:
        """Memory that a batch could take, at most ``FREE_FOR_S`` ago; the allocator's cache counts as free."""
        now = time.monotonic()
        if now - self._free_at > FREE_FOR_S:
            self._free_at, self._free_bytes = now, self._read_free_bytes()
        return self._free_bytes

    def spare_bytes(self) -> float:
        """Memory that one batch may take now."""
        return min(FREE_SHARE * self.free_bytes(), self.batch_bytes)

    def _read_free_bytes(self) -> int:
        if self.device.type == "cuda":
            kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            kept -= self.graphs.taken_bytes if self.graphs else 0  # which no batch can take
            return torch.cuda.mem_get_info(self.device)[0] + max(0, kept)
        return int(min(_available_bytes(), _container_bytes()))

    @property
    def compile_mode(self) -> str | None:
        """Of ``torch.compile``: on CUDA it tries several kernels. CUDA graphs are our own."""
        return "max-autotune-no-cudagraphs" if self.device.type == "cuda" else None

    @property
    def warms_up(self) -> bool:
        """Whether the first calls of a shape take much longer than others."""
        return self.device.type == "cuda" or self.compiles

    def choose_attention(self, network: torch.nn.Module) -> None:
        """Choose the kernel of each attention of a network."""
        if self._kernel is not None:
            choose_attention(network, self._kernel, self.device, self.dtype, by_speed=self._by_speed)

    def used_bytes(self) -> int | None:
        """Memory of the device that this process holds, the cache included; None where the system has no count."""
        if self.device.type == "cuda":
            return torch.cuda.memory_reserved(self.device)
        return resident_bytes()

    def answers(self) -> bool:
        """Whether the device still computes: one small product, waited for. A full one counts as well."""
        try:
            ones = torch.ones(8, 8, device=self.device, dtype=self.dtype)
            return float((ones @ ones).sum()) == 8**3
        except Exception as error:
            return is_out_of_memory(error)

    def empty_cache(self) -> None:
        """Empty the allocator's cache, and give up all CUDA graphs."""
        self._free_at = -FREE_FOR_S
        if self.graphs is not None:
            self.graphs.clear()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def total_bytes(self) -> int:
        """Memory that the device has."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[1]
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _available_bytes() -> int:
    """Memory of this machine that is free or would be freed on demand; half of all where the system has no count."""
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].removesuffix("kB")) * 1024
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _container_bytes() -> float:
    """Memory that the control group (version 2) of a container leaves; no limit outside of one."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return math.inf
    return math.inf if limit == "max" else int(limit) - int(used) + int(stat["inactive_file"])


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"device {name!r} is not one of auto, cpu, cuda, cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"device {name!r} is asked for, but PyTorch finds no CUDA device")
    return device


def _dtype(name: str, device: torch.device) -> str:
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name == "fp16" and device.type == "cpu":
        raise ConfigurationError("dtype fp16 needs a CUDA device; on a CPU use fp32 or bf16")
    return name


def _attention(settings: WorkerSettings, device: torch.device) -> str:
    name = settings.attention
    if name == "sdpa":
        return name
    reason = None
    if device.type != "cuda":
        reason = "it needs a CUDA device"
    elif find_spec("xformers") is None:
        reason = "it is not installed"
    elif name == "auto" and settings.compile == "on":
        reason = "the compiler cannot look into it"
    if reason is None:
        return "xformers"
    if name == "xformers" or device.type == "cuda":
        log.warning("no xformers attention, using SDPA", reason=reason)
    return "sdpa"
