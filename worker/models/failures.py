"""Tells whose fault a failed call is: the memory's, the device's, or the call's own."""

import re
from collections.abc import Callable
from enum import Enum

import torch


class Failure(Enum):
    """What a failed call says of the calls after it."""

    CALL = "call"  # nothing
    MEMORY = "memory"  # smaller ones may fit
    DEVICE = "device"  # they fail too


# An allocation that found no room. CUDA's libraries, its driver and its lazy loading of kernels allocate beside
# PyTorch's allocator, and report it in words of their own. A library without room for its handle is "not initialized".
_NO_ROOM = re.compile(
    r"""
    out[ _]of[ _]memory
    | (not\ enough|(can't|cannot|could\ not|failed\ to|unable\ to)\ allocate)\ .*memory
    | bad[ _]alloc
    | (status|cufft)_(alloc_failed|not_initialized)
    """,
    re.IGNORECASE | re.VERBOSE,
)

# What ends a CUDA context: every later call of the process fails, without an exception.
_ENDS_CONTEXT = re.compile(
    r"""
    illegal[ _](memory\ access|address|instruction)
    | misaligned[ _]address
    | device-side\ assert | error_assert
    | (unspecified\ )?launch[ _](failure|failed|timed\ out|timeout)
    | uncorrectable | hardware[ _]stack | invalid[ _](program\ counter|pc\b|address[ _]space)
    | context[ _]is[ _]destroyed | (gpu|device)\ is\ lost | fallen\ off\ the\ bus | no\ cuda-capable\ device
    """,
    re.IGNORECASE | re.VERBOSE,
)

_OF_DEVICE = re.compile(
    r"cuda|cudnn|cublas|cu(fft|solver|sparse|rand)|\bhip|nvrtc|nvml|driver", re.IGNORECASE
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation found no room, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and bool(_NO_ROOM.search(str(error)))
    )


def failure_of(error: BaseException, device_answers: Callable[[], bool]) -> Failure:
    """Whose fault an error is.

    Args:
        error: of a call.
        device_answers: tries the device; asked only where the text leaves it open.
    """
    of_device = isinstance(error, RuntimeError) and bool(_OF_DEVICE.search(str(error)))
    if of_device and _ENDS_CONTEXT.search(str(error)):
        return Failure.DEVICE
    is_memory = is_out_of_memory(error)
    if (of_device or is_memory) and not device_answers():
        return Failure.DEVICE
    return Failure.MEMORY if is_memory else Failure.CALL
