"""Loads a catalog's first model and its CLIP once, and prints the time of each stage as JSON.

It runs as a script in a fresh process, with the checkout that is measured on ``PYTHONPATH``: a checkout of before may
lack some of the functions below, whose time then belongs to the stage around them.
"""

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

# The functions that a stage consists of, as ``module:name`` or ``module:class.name``. Time within a function of
# another stage is that one's.
STAGES = {
    "hashing": ("worker.models.shared:sha256", "worker.models.loading.digests:sha256"),
    "waiting for hashes": ("worker.models.loading.reading:Hashing.hexdigest",),
    "building modules": (
        "worker.models.loading.parts:_empty",
        "worker.models.loading.openclip:_empty",
        "open_clip.model:CLIP.__init__",
    ),
    "reading and converting": (
        "worker.models.loading.weights:read_tensors",
        "worker.models.loading.weights:fill",
        "worker.models.loading.reading:read_tensors",
        "open_clip.factory:load_checkpoint",
    ),
    "checking": ("worker.models.loading.weights:require_finite",),
    "moving": ("torch.nn:Module.to",),
    "trying out": (
        "worker.models.diffusion:_try_out",
        "worker.models.loading.diffusion:_try_out",
        "worker.models.clip:ClipModel.try_out",
    ),
    "warming up": ("worker.models.warming:warm_up",),
}


class Clock:
    """Exclusive times of stages, which lie within each other."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted as the stage's."""

        @wraps(function)
        def run(*inputs: Any, **options: Any) -> Any:
            self._switch()
            self._running.append(stage)
            try:
                return function(*inputs, **options)
            finally:
                self._switch()
                self._running.pop()

        return run

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


def main() -> None:
    """Load, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--cache", type=Path, help="where digests are kept, in checkouts that keep them")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--calls", action="store_true", help="time the first calls of a job, and the second ones"
    )
    options = parser.parse_args()
    begun = time.perf_counter()
    registry = _registry(options)
    clock = Clock()
    _install(clock)
    started, computed = time.perf_counter(), time.process_time()
    card = registry.catalog.models[0]
    model, clip = registry.diffusion(card.id), registry.clip(card.clip)
    ready = time.perf_counter()
    computed = time.process_time() - computed
    calls = _calls(model, clip, card.width) if options.calls else {}
    figures = {
        "import_s": started - begun,
        "ready_s": ready - started,
        "cpu_s": computed,
        "stages_s": dict(clock.seconds) | {"the rest": ready - started - sum(clock.seconds.values())},
        "peak_mib": _peak_mib(),
        "calls_s": calls,
    }
    print(json.dumps(figures))


def _registry(options: argparse.Namespace) -> Any:
    """The registry of the checkout that ``PYTHONPATH`` names, with nothing loaded."""
    catalogs = _imported("jobs.catalog.catalog", "jobs.catalog")
    devices, registries, settings = (
        import_module(name) for name in ("worker.models.device", "worker.models.registry", "worker.settings")
    )
    catalog = catalogs.load_catalog(options.catalog)
    device = devices.Device(settings.WorkerSettings(dtype=options.dtype))
    try:
        digests = import_module("worker.models.loading.digests")
    except ModuleNotFoundError:
        return registries.ModelRegistry(catalog, device)
    return registries.ModelRegistry(catalog, device, digests.Digests(options.cache))


def _imported(*names: str) -> Any:
    """The module of the first of these names that the checkout has: a module may have moved since."""
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"the checkout has none of {', '.join(names)}")


def _install(clock: Clock) -> None:
    for stage, names in STAGES.items():
        for name in names:
            module, path = name.split(":")
            try:
                owner: Any = import_module(module)
            except ModuleNotFoundError:
                continue
            *classes, attribute = path.split(".")
            for each in classes:
                owner = getattr(owner, each)
            if (function := vars(owner).get(attribute)) is not None:
                _replace(owner, attribute, function, clock.timed(stage, function))


def _replace(owner: Any, attribute: str, function: Any, timed: Any) -> None:
    """Put the timed function in the place of the other, also where modules have imported that by name."""
    setattr(owner, attribute, timed)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("worker.", "open_clip.")):
            for name, value in list(vars(module).items()):
                if value is function:
                    setattr(module, name, timed)


def _calls(model: Any, clip: Any, px: int) -> dict[str, list[float]]:
    """Seconds of the first and of the second call of each kind that a job makes."""
    torch = import_module("torch")
    side = px // model.facts.latent_factor
    latents, pictures = torch.zeros(2, model.facts.latent_channels, side, side), torch.zeros(1, 3, px, px)
    kinds = {
        "encode": lambda prompt: model.encode_texts([prompt, ""]),
        "denoise": lambda prompt: model.predict(
            latents, torch.tensor([500, 500]), model.encode_texts([prompt, ""])
        ),
        "decode": lambda _: model.render(latents[:1]),
        "embed": lambda _: clip.embed_pictures(pictures),
    }
    return {kind: [_seconds(call, prompt) for prompt in ("first", "second")] for kind, call in kinds.items()}


def _seconds(call: Callable[[str], Any], prompt: str) -> float:
    started = time.perf_counter()
    call(prompt)
    return time.perf_counter() - started


def _peak_mib() -> float:
    """The most resident memory of this process, mapped files included; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
