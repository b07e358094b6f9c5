"""Measures what batches cost on this machine."""

import statistics
import time
from collections.abc import Sequence

from benchmarks.load.batching import CUTOUTS, Bench
from benchmarks.scheduling.costs import MEASURED, Curve, Curves
from worker.calls import Call, EmbedText, EncodeText
from worker.engine.plans import facts_of, plan
from worker.events import Event, Fetch
from worker.pictures.inputs import Inputs

CALLS = (1, 2, 3, 4, 6, 10, 16)
REPEATS = 3


def measure() -> Curves:
    """The curves of this machine. CPU seconds of one thread, since other work may share the cores.

    Texts keep the figures above: the models remember those that they have read.
    """
    bench = Bench(threads=1)
    curves: dict[str, Curve] = {name: MEASURED[name] for name in ("EncodeText", "EmbedText")}
    for call in _calls(bench):
        curves.setdefault(type(call).__name__, {size: _measured(bench, [call] * size) for size in CALLS})
    return curves


def _calls(bench: Bench) -> Sequence[Call]:
    """Those of one guided picture of two steps, each answered."""
    request = bench.resolve(
        {"prompt": "a red apple", "steps": 2, "seed": 0, "guidance": {"preset": "laion", "cutouts": CUTOUTS}}
    )
    planned = plan(request, Inputs(), bench.models.catalog)
    sampler, _ = next(planned.samplers(facts_of(bench.models, planned.refs), None))
    calls: list[Call] = []
    answer: object = None
    while True:
        try:
            asked = sampler.send(answer)
        except StopIteration:
            return [call for call in calls if not isinstance(call, EncodeText | EmbedText)]
        answer = None
        if isinstance(asked, Fetch):
            answer = asked.read()
        elif not isinstance(asked, Event):
            calls.append(asked)
            (answer,) = bench.runner.run([asked])


def _measured(bench: Bench, calls: Sequence[Call]) -> float:
    bench.runner.run(calls)  # the first time, memory is measured and the batch may be split
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        bench.runner.run(calls)
        times.append(time.process_time() - began)
    return statistics.median(times)
