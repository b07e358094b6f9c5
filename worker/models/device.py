"""Where and how to compute: device, number format, attention."""

from importlib.util import find_spec

import structlog
import torch

from jobs.errors import ConfigurationError
from worker.settings import WorkerSettings

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

log = structlog.get_logger(__name__)


class Device:
    """The device of this worker and the formats it computes in.

    Attributes:
        device: the torch device.
        dtype_name: fp16, bf16 or fp32.
        attention: "xformers" or "sdpa".
    """

    def __init__(self, settings: WorkerSettings) -> None:
        """Choose what the settings leave open.

        Raises:
            ConfigurationError: the settings ask for what this machine does not have.
        """
        self.device = _device(settings.device)
        self.dtype_name: str = _dtype(settings.dtype, self.device)
        self.attention = _attention(settings.attention, self.device)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.threads = torch.get_num_threads()

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the models."""
        return DTYPES[self.dtype_name]


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


def _attention(name: str, device: torch.device) -> str:
    if name == "sdpa":
        return name
    reason = None
    if device.type != "cuda":
        reason = "it needs a CUDA device"
    elif find_spec("xformers") is None:
        reason = "it is not installed"
    if reason is None:
        return "xformers"
    if name == "xformers" or device.type == "cuda":
        log.warning("no xformers attention, using SDPA", reason=reason)
    return "sdpa"
