"""Part ``mates``: how far a batch, a second run and a format change a picture of the pocket model."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from torch import Tensor

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Values
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

SUBJECTS = ("apple", "fox", "car", "cat", "tree", "house", "fish", "star")
COMPARED = 4  # of the pictures
CPU = ("cpu", "fp32")


def measure(bench: Bench) -> None:
    """Each format, unguided and guided."""
    formats = [CPU, *(("cuda", name) for name in ("fp32", "fp16", "bf16") if bench.is_cuda)]
    if bench.small:
        formats = [CPU]
    reference: dict[bool, list[Tensor]] = {}
    for device, dtype in formats:
        settings = WorkerSettings.model_validate({"device": device, "dtype": dtype, "attention": "sdpa"})
        runner = Runner(ModelRegistry(load_catalog(CATALOG), Device(settings)))
        for guidance in (None, {"preset": "laion", "cutouts": 2 if bench.small else 8}):
            kind = "guided" if guidance else "unguided"
            measured = partial(_compare, bench, runner, guidance, reference)
            found = bench.report.figure(f"{device} {dtype}, {kind}", measured)
            if dtype == "fp32":
                bench.report.rule("beside mates at most 1e-3 of a pixel's range", _within(found, 1e-3))
            else:
                bench.report.rule(f"write the bound that was seen for {dtype} into docs/engine.md")
            if not guidance:
                bench.report.rule(
                    "again the same, bit for bit; else look for the cause", _within(found, 0, "again")
                )


def _compare(
    bench: Bench, runner: Runner, guidance: dict[str, Any] | None, reference: dict[bool, list[Tensor]]
) -> Values:
    """The largest differences of pictures made alone from those with seven others, made again, and of a CPU in fp32."""
    count, steps = (2, 2) if bench.small else (len(SUBJECTS), 15)
    requests = [
        _request(runner, subject, seed, steps, guidance) for seed, subject in enumerate(SUBJECTS[:count])
    ]
    alone = _pictures(requests[:COMPARED], runner, 1)
    again = _pictures(requests[:COMPARED], runner, 1)
    together = _pictures(requests, runner, count)[:COMPARED]
    exact = reference.setdefault(guidance is not None, alone)
    return {
        "with_mates": _farthest(alone, together),
        "again": _farthest(alone, again),
        "from_the_cpu": _farthest(alone, exact),
    }


def _request(
    runner: Runner, subject: str, seed: int, steps: int, guidance: dict[str, Any] | None
) -> ResolvedRequest:
    asked = {"prompt": f"a {subject}", "seed": seed, "steps": steps, "sampler": "ddim", "guidance": guidance}
    return resolve(GenerateRequest.model_validate(asked), runner.models.catalog)


def _pictures(requests: Sequence[ResolvedRequest], runner: Runner, at_a_time: int) -> list[Tensor]:
    return [picture.pixels for (picture,) in generate_all(requests, runner, at_a_time=at_a_time)]


def _farthest(some: Sequence[Tensor], others: Sequence[Tensor]) -> str:
    pairs = zip(some, others, strict=True)
    return f"{max(float((one - other).abs().max()) for one, other in pairs):.1e}"


def _within(found: Values, bound: float, key: str = "with_mates") -> bool | None:
    return float(cast("str", found[key])) <= bound if key in found else None
