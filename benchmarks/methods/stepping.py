"""Time and peak memory of sampling steps, each method in a process of its own, so that none finds another's memory."""

import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import track

from benchmarks.methods.community import community_pipeline
from benchmarks.methods.models import Shapes, random_models, shipped_models
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from worker.calls import Denoise
from worker.engine.runner import Runner
from worker.engine.solo import sampler_of
from worker.events import Stepped
from worker.models.checkpointing import checkpoint_activations
from worker.models.device import Device
from worker.models.footprint import peak_memory
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

PROMPT = "a red apple on a light blue background"
WARMING = 5  # the shortest run of which every preset guides a step
RUNS = 3  # of the pocket model, each beside an unguided one, since a shared machine is now fast and now slow


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        name: its label.
        guidance: of the request, or None.
        pipeline: the file of the community pipeline, if that is what is measured.
        checkpointed: whether the VAE's decoder recomputes its activations; None leaves it as the worker has it.
    """

    name: str
    guidance: dict[str, Any] | None = None
    pipeline: Path | None = None
    checkpointed: bool | None = None


@dataclass(frozen=True)
class Cost:
    """The cost of a step.

    Attributes:
        seconds: on average over the fastest run.
        peak_mib: beyond the weights.
        times: median over the runs, in units of unguided steps timed in turn with it; None where there were none.
    """

    name: str
    seconds: float
    peak_mib: float
    times: float | None


def measure_all(
    methods: Sequence[Method], steps: int, shapes: Shapes | None = None, *, json_file: Path | None = None
) -> list[Cost]:
    """The costs of several methods, one after another; what is known is written after each, since all may take hours.

    Args:
        methods: what to measure.
        steps: as for ``measure``.
        shapes: as for ``measure``.
        json_file: where to write.
    """
    costs = []
    for method in track(methods, "stepping", console=Console(stderr=True)):
        costs.append(measure(method, steps, shapes))
        if json_file:
            json_file.write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n")
    return costs


def measure(method: Method, steps: int, shapes: Shapes | None = None) -> Cost:
    """The cost of a method, with the pocket model or with random weights.

    Args:
        method: what to measure.
        steps: that are timed, after a short run that is not: one step of random networks, ``WARMING`` of the pocket
            model. With 0 that run is timed, and what is only done once with it.
        shapes: of random networks; None for the pocket model.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, method, steps, shapes).result()


def _measured(method: Method, steps: int, shapes: Shapes | None) -> Cost:
    device = Device(WorkerSettings(dtype=cast(Any, shapes.dtype if shapes else "auto")))
    models = random_models(shapes, device) if shapes else shipped_models(device)
    if method.checkpointed is not None:
        checkpoint_activations(models.stock.vae.decoder, enabled=method.checkpointed)
    run = _community(method.pipeline, models) if method.pipeline else _own(method.guidance, models)
    with peak_memory(device.device) as taken:
        warming = 1 if shapes else WARMING
        first = run(warming) / warming  # what is only done once, is not counted as time
        if shapes or not steps:
            seconds, times = run(steps) / steps if steps else first, None
        else:
            plain = _own(None, models)
            plain(warming)
            pairs = [(run(steps), plain(steps)) for _ in range(RUNS)]
            seconds = min(guided for guided, _ in pairs) / steps
            times = statistics.median(guided / unguided for guided, unguided in pairs)
    return Cost(method.name, seconds, taken() / 2**20, times)


def _own(guidance: dict[str, Any] | None, models: Any) -> Callable[[int], float]:
    """A run of our sampler, up to its last step, whose picture is not decoded."""
    runner = Runner(models)

    def run(steps: int) -> float:
        asked = {"prompt": PROMPT, "seed": 7, "steps": steps, "sampler": "ddim", "guidance": guidance}
        request = resolve(GenerateRequest.model_validate(asked), models.catalog)
        sampler = sampler_of(request, models, SamplerInputs(models.catalog.models[0].clip))
        started, done, call = 0.0, 0, next(sampler)
        while done < steps:
            if isinstance(call, Denoise) and not started:
                started = time.perf_counter()
            done += isinstance(call, Stepped)
            call = sampler.send(runner.answer(call)) if done < steps else call
        sampler.close()
        return time.perf_counter() - started

    return run


class _EnoughError(Exception):
    """The last step is done; the picture is not wanted."""


def _community(file: Path, models: Any) -> Callable[[int], float]:
    """A run of the community pipeline at its defaults, from its first step to its last."""
    card, stock = models.catalog.models[0], models.stock
    clip, facts = models.clip(card.clip), models.diffusion(card.id).facts
    target = clip.embed_text(PROMPT).to(stock.unet.dtype)
    pipeline = community_pipeline(file, stock, clip.networks[0], target, clip.px)
    size = (card.height // facts.latent_factor, card.width // facts.latent_factor)
    take = pipeline.scheduler.step
    times: list[float] = []

    def step(*args: Any, **options: Any) -> Any:
        following = take(*args, **options)
        times.append(time.perf_counter())
        if len(times) == len(pipeline.scheduler.timesteps):
            raise _EnoughError
        return following

    def encode(ids: torch.Tensor) -> Any:
        times.clear()
        encoded = stock.text_encoder(ids)
        started[:] = [time.perf_counter()]
        return encoded

    started: list[float] = []
    pipeline.scheduler.step = step
    pipeline.__dict__["text_encoder"] = encode

    def run(steps: int) -> float:
        with suppress(_EnoughError):
            pipeline(
                PROMPT,
                height=size[0] * 8,  # it takes all latents for an eighth of the picture
                width=size[1] * 8,
                num_inference_steps=steps,
                guidance_scale=card.cfg_scale,
                latents=torch.randn(1, facts.latent_channels, *size).to(stock.unet.dtype),
            )
        return times[-1] - started[0]

    return run
