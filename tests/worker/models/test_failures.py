"""Whose fault a failed call is: told by its text, and by the device itself."""

import pytest
import torch

from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.failures import Failure, failure_of, is_out_of_memory
from worker.settings import WorkerSettings

ASYNC = "\nCUDA kernel errors might be asynchronously reported at some other API call."
DEBUG = "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA`."

NO_ROOM = [
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "CUDA driver error: out of memory",
    "CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY",
    "cudaGraphInstantiate: CUDA error: out of memory",
    "HIP out of memory. Tried to allocate 2.00 GiB",
    "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 4096 bytes. Error code 12 (Cannot allocate memory)",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes.",
    "std::bad_alloc",
    "could not allocate workspace memory",
]
LOST = [
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: device-side assert triggered",
    "CUDA error: unspecified launch failure",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: misaligned address",
    "CUDA error: the launch timed out and was terminated",
    "CUDA error: CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA driver error: context is destroyed",
    "HIP error: an illegal instruction was encountered",
    "CUDA error: hardware stack error",
    "CUDA error: GPU has fallen off the bus",
]
OPEN = [
    "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx(...)`",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "CUDA error: operation failed due to a previous error during capture",
    "CUDA error: invalid configuration argument",
    "CUDA error: unknown error",
]
ITS_OWN = [
    "mat1 and mat2 shapes cannot be multiplied (77x768 and 1024x320)",
    "Expected all tensors to be on the same device",
    "out of resource: shared memory, Required: 131072, Hardware limit: 101376",
    "the prompt is about a memory of an illegal instruction",
]


def variants(texts: list[str]) -> list[str]:
    """Texts as they are, in other cases, and with what PyTorch appends."""
    return [change for text in texts for change in (text, text.upper(), text.lower(), text + ASYNC + DEBUG)]


def yes() -> bool:
    return True


def no() -> bool:
    return False


def unasked() -> bool:
    raise AssertionError("the text says enough")


@pytest.mark.parametrize("text", variants(NO_ROOM))
def test_an_allocation_that_found_no_room_is_the_memorys_fault_while_the_device_answers(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert failure_of(RuntimeError(text), yes) is Failure.MEMORY
    assert failure_of(RuntimeError(text), no) is Failure.DEVICE


@pytest.mark.parametrize("text", variants(LOST))
def test_an_error_that_ends_the_context_is_the_devices_fault_and_is_not_tried(text: str) -> None:
    assert failure_of(RuntimeError(text), unasked) is Failure.DEVICE


@pytest.mark.parametrize("text", variants(OPEN))
def test_another_error_of_a_device_is_decided_by_the_device(text: str) -> None:
    assert failure_of(RuntimeError(text), yes) is Failure.CALL
    assert failure_of(RuntimeError(text), no) is Failure.DEVICE


@pytest.mark.parametrize("text", ITS_OWN)
def test_an_error_without_a_word_of_memory_or_device_is_the_calls_own(text: str) -> None:
    assert failure_of(RuntimeError(text), unasked) is Failure.CALL


def test_errors_of_these_classes_need_no_text() -> None:
    for error in (torch.OutOfMemoryError(), MemoryError()):
        assert failure_of(error, yes) is Failure.MEMORY
    assert failure_of(ModelUnavailableError("CUDA error: out of memory"), unasked) is Failure.CALL
    assert failure_of(ValueError("CUDA error: out of memory"), unasked) is Failure.CALL


def test_a_real_allocation_that_finds_no_room_on_the_cpu_is_told() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert failure_of(caught.value, yes) is Failure.MEMORY


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_device_that_works_answers(dtype: str) -> None:
    assert Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype})).answers()
