"""Parts ``unet``, ``graphs`` and ``compiled``: one call of a UNet of SD 1.5's shapes, by its number of rows."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from benchmarks.gpu.bench import MIB, Bench
from benchmarks.gpu.report import Values, at_least, ratio
from worker.models.networks.capture import CudaCapture
from worker.models.networks.graphs import BUCKETS
from worker.models.networks.network import UNetOutput

ROWS = (1, 2, 4, 8, 16, 32, 64)
GRAPHED = (2, 8, 16, 32)
Call = Callable[[], Tensor]


def measure(bench: Bench) -> None:
    """Eager calls, in both memory formats."""
    report, network = bench.report, _network(bench)
    rows = (1, 2) if bench.small else ROWS
    eager = {n: report.figure(f"eager, {n} rows", partial(_cost, bench, network, n)) for n in rows}
    two = eager[2]
    share = ratio({"ms": two.get("kernel_ms")}, two)
    report.rule("kernels take under 60 % of the call of 2 rows: graphs before compiling", _under(share, 0.6))
    gains = [ratio(eager[few], eager[many]) for few, many in pairwise(rows)]
    most = next((few for few, gain in zip(rows, gains, strict=False) if gain and 2 * gain < 1.05), None)
    report.rule(
        f"LODESTAR_MAX_BATCH is the rows at which doubling gains less than 5 %; here {most or 'none'}"
    )
    network.to(memory_format=torch.channels_last)
    for tuned in (False, True):
        torch.backends.cudnn.benchmark = tuned
        name = f"eager, channels last{', cudnn.benchmark' if tuned else ''}"
        found = [
            (n, report.figure(f"{name}, {n} rows", partial(_cost, bench, network, n)))
            for n in dict.fromkeys((2, rows[-1]))
        ]
        faster = [ratio(eager[n], values) for n, values in found]
        report.rule(f"{name}: at least 1.05 times as fast, so use it", _all_at_least(faster, 1.05))
    torch.backends.cudnn.benchmark = False


def measure_graphs(bench: Bench) -> None:
    """The same calls as CUDA graphs."""
    report = bench.report
    if not bench.is_cuda:
        return report.rule("graphs need a GPU")
    network = _network(bench)
    for rows in GRAPHED[:1] if bench.small else GRAPHED:
        eager = report.figure(f"eager, {rows} rows", partial(_cost, bench, network, rows))
        graph = report.figure(f"graph, {rows} rows", partial(_graph, bench, network, rows))
        report.rule(
            f"a graph of {rows} rows is at least 1.05 times as fast; the worker has them up to {BUCKETS[-1]}",
            at_least(ratio(eager, graph), 1.05),
        )


def measure_compiled(bench: Bench) -> None:
    """The same calls compiled; on a CPU in small only traced, since compiling takes minutes."""
    report, network = bench.report, _network(bench).to(memory_format=torch.channels_last)
    plans = (("default", None, (2, 16, 64)), ("max-autotune-no-cudagraphs",) * 2 + ((2, 32),))
    found: dict[tuple[str, int], Values] = {}
    for name, mode, all_rows in plans[:1] if bench.small else plans:
        torch.compiler.reset()
        options: dict[str, Any] = {"backend": "eager"} if bench.small else {"mode": mode}
        compiled = torch.compile(network, fullgraph=True, dynamic=False, **options)
        for rows in all_rows[:1] if bench.small else all_rows:
            eager = report.figure(f"eager, {rows} rows", partial(_cost, bench, network, rows))
            values = report.figure(f"{name}, {rows} rows", partial(_compiled, bench, compiled, rows))
            found[name, rows] = values
            report.rule(
                f"{name}: at least 1.2 times as fast at {rows} rows, so ship it as an option",
                at_least(ratio(eager, values), 1.2),
            )
    tuned = ratio(found.get(("default", 2), {}), found.get(("max-autotune-no-cudagraphs", 2), {}))
    report.rule(
        "autotuning is at least 1.05 times as fast as the default: worth its time", at_least(tuned, 1.05)
    )


def _network(bench: Bench) -> Any:
    with torch.device(bench.device.device):
        network: Any = UNet2DConditionModel(**bench.shapes.unet)
    return network.to(bench.device.dtype).eval().requires_grad_(False)


def inputs(bench: Bench, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and contexts of so many rows."""
    side, width = bench.sides[0] // 8, bench.shapes.unet["cross_attention_dim"]
    rng = torch.Generator(bench.device.device).manual_seed(0)
    return (
        torch.randn(rows, 4, side, side, generator=rng, **bench.place),
        torch.full((rows,), 500, device=bench.device.device),
        torch.randn(rows, 77, width, generator=rng, **bench.place),
    )


@torch.inference_mode()
def _cost(bench: Bench, network: Any, rows: int) -> Values:
    given = _laid_out(network, inputs(bench, rows))
    return bench.cost(lambda: network(*given, return_dict=False)[0])


@torch.inference_mode()
def _compiled(bench: Bench, network: Any, rows: int) -> Values:
    given = _laid_out(network, inputs(bench, rows))
    call: Call = lambda: network(*given, return_dict=False)[0]  # noqa: E731
    began = time.perf_counter()
    call()
    bench.sync()
    return {"first_s": round(time.perf_counter() - began, 1), **bench.cost(call)}


@torch.inference_mode()
def _graph(bench: Bench, network: Any, rows: int) -> Values:
    """A graph as the worker records it; its time includes the copies of its inputs and of its output."""
    given = inputs(bench, rows)
    graph = CudaCapture(bench.device.device)(UNetOutput(network), given)
    wanted, answer = network(*given, return_dict=False)[0], graph(*given)
    return {
        "equal": bool(torch.equal(wanted, answer)),
        "graph_mib": graph.taken_bytes // MIB,
        **bench.timed(lambda: graph(*given)),
    }


def _laid_out(network: Any, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The inputs in the memory format of the network's weights."""
    weight = next(parameter for parameter in network.parameters() if parameter.ndim == 4)
    is_last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    latents = given[0].contiguous(memory_format=torch.channels_last) if is_last else given[0]
    return latents, *given[1:]


def _under(value: float | None, bound: float) -> bool | None:
    return None if value is None else value < bound


def _all_at_least(values: Sequence[float | None], bound: float) -> bool | None:
    known = [value for value in values if value is not None]
    return min(known) >= bound if known else None
