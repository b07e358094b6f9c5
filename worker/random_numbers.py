"""Random numbers of generators on the CPU, so that a seed gives one picture on every device."""

import torch
from torch import Tensor

CPU = torch.device("cpu")


def normal(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device = CPU, *, std: float = 1.0
) -> Tensor:
    """Normally distributed values, float32 on the CPU.

    Args:
        shape: of the result.
        generator: on the CPU.
        device: that needs them. For a GPU they are page-locked, so that nothing waits for their way there.
        std: standard deviation.
    """
    values = torch.empty(shape, dtype=torch.float32, pin_memory=device.type == "cuda")
    return values.normal_(std=std, generator=generator)
