"""Chooses the kernel of each attention of a network: xformers' where it is at least as fast, else PyTorch's own."""

import statistics
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import structlog
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, XFormersAttnProcessor
from torch import Tensor, nn
from torch.nn import functional as F

TOKENS, WORDS, ROWS = 1024, 77, 2  # of the trial: half of a picture of 512 px each way, and a text
TRIALS = 7

log = structlog.get_logger(__name__)

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys and values [B, L, heads, width]


def sdpa(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """PyTorch's scaled dot-product attention, of tensors [B, L, heads, width]."""
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def xformers_kernel() -> Kernel | None:
    """The memory-efficient attention of xformers; None where it cannot be imported."""
    try:
        kernel: Kernel = import_module("xformers.ops").memory_efficient_attention
    except Exception as error:  # its libraries may be made for another CUDA
        log.warning("xformers cannot be used", reason=str(error))
        return None
    return kernel


def choose_attention(
    network: nn.Module, kernel: Kernel | None, device: torch.device, dtype: torch.dtype, *, by_speed: bool
) -> int:
    """Let each attention of a network use a kernel where that has an operator, forward and back, else PyTorch's.

    Args:
        network: with diffusers' attentions.
        kernel: another than PyTorch's; None without one.
        device: of the trials.
        dtype: of the trials.
        by_speed: use the kernel only where it is at least as fast as PyTorch's.

    Returns:
        The number of attentions that use the kernel.
    """

    @cache
    def is_chosen(heads: int, width: int, is_cross: bool) -> bool:
        if kernel is None:
            return False
        inputs = _inputs(heads, width, WORDS if is_cross else TOKENS, device, dtype)
        seconds = _seconds(kernel, inputs)
        chosen = seconds is not None and (not by_speed or seconds <= (_seconds(sdpa, inputs) or 0.0))
        log.info("attention chosen", heads=heads, width=width, is_cross=is_cross, xformers=chosen)
        return chosen

    count = 0
    for part in network.modules():
        if isinstance(part, Attention) and isinstance(
            part.processor, AttnProcessor2_0 | XFormersAttnProcessor
        ):
            chosen = is_chosen(part.heads, part.inner_dim // part.heads, bool(part.is_cross_attention))
            part.set_processor(XFormersAttnProcessor() if chosen else AttnProcessor2_0())
            count += chosen
    return count


def _inputs(
    heads: int, width: int, keys: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    return tuple(
        torch.randn(ROWS, length, heads, width, device=device, dtype=dtype, requires_grad=True)
        for length in (TOKENS, keys, keys)
    )


def _seconds(kernel: Kernel, inputs: tuple[Tensor, ...]) -> float | None:
    """Of one call, forward and back; None where the kernel has no operator for it, or a wrong one."""
    with torch.enable_grad():
        try:
            output, own = kernel(*inputs), sdpa(*inputs)
            if not torch.allclose(output.float(), own.float(), atol=2e-2):
                return None
            times = [_timed(kernel, inputs) for _ in range(TRIALS)]
        except Exception:
            return None
    return statistics.median(times[1:])


def _timed(kernel: Kernel, inputs: tuple[Any, ...]) -> float:
    _wait(inputs[0].device)
    began = time.perf_counter()
    output = kernel(*inputs)
    torch.autograd.grad(output, inputs, torch.ones_like(output))
    _wait(inputs[0].device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
