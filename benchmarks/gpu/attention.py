"""Part ``attention``: PyTorch's kernels and xformers at the shapes of SD 1.5, forward and back."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Values, ratio

# Batch, heads, queries, keys and width of a head: of eight pictures with two rows, and of the VAE's one head.
SHAPES = {
    "self, 64 x 64": (16, 8, 4096, 4096, 40),
    "self, 32 x 32": (16, 8, 1024, 1024, 80),
    "cross, 64 x 64": (16, 8, 4096, 77, 40),
    "VAE, 512 px": (2, 1, 4096, 4096, 512),
    "VAE, 1024 px": (1, 1, 16384, 16384, 512),
}
BACKENDS = ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")
MOST_FOR_MATH = 4096  # queries; more take gigabytes

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def measure(bench: Bench) -> None:
    """Every kernel at every shape."""
    report, xformers = bench.report, _xformers(bench)
    names = ["FLASH_ATTENTION", "MATH"] if bench.small else list(BACKENDS)
    for shape, (_, _, queries, keys, width) in SHAPES.items():
        size = (1, 2, min(queries, 64), min(keys, 64), width) if bench.small else SHAPES[shape]
        found: dict[str, Values] = {}
        for name in names:
            if name == "MATH" and size[2] > MOST_FOR_MATH:
                continue
            call = partial(_sdpa, getattr(SDPBackend, name))
            found[name] = report.figure(f"{shape}, {name}", partial(_cost, bench, call, size))
        best = min((each for each in found.values() if "ms" in each), key=lambda each: each["ms"], default={})
        if xformers is not None:
            theirs = report.figure(f"{shape}, xformers", partial(_cost, bench, xformers, size))
            gain = ratio(best, theirs)
            report.rule(
                f"{shape}: xformers at least 1.05 times as fast as the best, so prefer it there",
                None if gain is None else gain >= 1.05,
            )
        if shape.startswith("VAE"):
            report.rule(
                f"{shape}: a kernel besides MATH has a way back; else the VAE keeps MATH",
                any("back_ms" in values for name, values in found.items() if name != "MATH"),
            )


def _xformers(bench: Bench) -> Attention | None:
    try:
        operators: Any = import_module("xformers.ops")
    except ImportError as error:
        bench.report.rule(f"xformers is not measured: {error}")
        return None
    return lambda q, k, v: operators.memory_efficient_attention(*(each.transpose(1, 2) for each in (q, k, v)))


def _sdpa(backend: SDPBackend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return scaled_dot_product_attention(q, k, v)


def _cost(bench: Bench, attend: Attention, size: tuple[int, ...]) -> Values:
    batch, heads, queries, keys, width = size
    q = torch.randn(batch, heads, queries, width, **bench.place, requires_grad=True)
    k, v = (torch.randn(batch, heads, keys, width, **bench.place) for _ in range(2))

    def there_and_back() -> None:
        answer = attend(q, k, v)
        torch.autograd.grad(answer, q, torch.ones_like(answer))

    values = dict(bench.timed(lambda: attend(q, k, v)))
    try:
        return {**values, "back_ms": bench.timed(there_and_back)["ms"], "mib": bench.peak_mib(there_and_back)}
    except RuntimeError as error:
        return {**values, "no way back": str(error).splitlines()[0][:80]}
