"""The pocket pipeline as the other servers run it: whole requests in, whole pictures out.

The same models, solvers, guidance and PNG files as ours, and the most that batching of whole requests allows: those of
one batch that agree in steps, solver, size and guidance are drawn in lockstep, each kind of call as one batch.
"""

import base64
import os
from collections import defaultdict
from collections.abc import Generator, Hashable
from typing import Any

from benchmarks.peers.busy import report_busy_time
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.errors import LodestarError
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from worker.calls import Call
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Yield
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

MAX_BATCH = 16


class Pipeline:
    """Draws lists of requests."""

    def __init__(self) -> None:
        report_busy_time()
        settings = WorkerSettings(threads=int(os.environ["LODESTAR_THREADS"]))
        self._models = ModelRegistry(load_catalog(CATALOG), Device(settings))
        self._runner = Runner(self._models)

    def __call__(self, requests: list[dict[str, Any]]) -> list[str]:
        """The pictures as PNG files in base64, in the order of the requests."""
        resolved = [
            resolve(GenerateRequest.model_validate(fields), self._models.catalog) for fields in requests
        ]
        alike: dict[Hashable, list[int]] = defaultdict(list)
        for place, request in enumerate(resolved):
            alike[_settings(request)].append(place)
        drawn: dict[int, Picture] = {}
        for places in alike.values():
            drawn |= zip(places, self._draw([resolved[place] for place in places]), strict=True)
        return [
            base64.b64encode(encode_png(drawn[place], request)).decode()
            for place, request in enumerate(resolved)
        ]

    def _draw(self, requests: list[ResolvedRequest]) -> list[Picture]:
        """Pictures of requests whose samplers take the same way."""
        inputs = SamplerInputs(self._models.catalog.model(requests[0].model).clip)
        samplers = [sampler_of(request, self._models, inputs) for request in requests]
        calls = [_next_call(sampler, None) for sampler in samplers]
        while True:
            answers = self._runner.run(calls)
            for answer in answers:
                if isinstance(answer, LodestarError):
                    raise answer
            pictures = []
            for place, (sampler, answer) in enumerate(zip(samplers, answers, strict=True)):
                try:
                    calls[place] = _next_call(sampler, answer)
                except StopIteration as end:
                    pictures.append(end.value)
            if pictures:
                return pictures


def _next_call(sampler: Generator[Yield, Any, Picture], answer: object) -> Call:
    """The next model call of a sampler; events need no answer here."""
    asked = sampler.send(answer)
    while not isinstance(asked, Call):
        asked = sampler.send(None)
    return asked


def _settings(request: ResolvedRequest) -> Hashable:
    """The key of a batch: properties that requests must share to run together from start to end."""
    guidance = None
    if request.guidance is not None:
        kinds = tuple(
            tuple(objective.model_dump(exclude={"text", "image"}).values())
            for objective in request.guidance.objectives
        )
        guidance = request.guidance.model_dump_json(exclude={"objectives"}), kinds
    paired = request.cfg_scale != 1
    size = request.width, request.height
    return request.model, request.steps, request.sampler, request.schedule, size, paired, guidance
