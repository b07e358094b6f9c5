"""The cost of each kind of model call in rows of a denoising step: the weights of ``jobs/queue/order.py``.

``python -m benchmarks.unit_costs [--json FILE] [--seconds N]``. On the pocket model, at its own size, each call alone;
the median of calls that alternate with a denoising step, since the speed of a shared machine varies.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog
from jobs.requests.parameters import Decoder
from worker.calls import Guide, Tuning
from worker.canvas import Canvas, canvas_of
from worker.engine.batches import guide
from worker.guidance.cutouts import AUGMENTATIONS, CutoutSpec, draw_cutouts
from worker.guidance.objectives import ClipTerm, ClipTerms, Loss, PixelTerm, SphericalLoss
from worker.models.controls.held import Nothing
from worker.models.device import Device
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.image_prompts.attention import cross_attentions
from worker.models.image_prompts.encoders import ClipEncoder
from worker.models.image_prompts.network import Attention, IPAdapter
from worker.models.image_prompts.projections import Projection
from worker.models.registry import ModelRegistry
from worker.pictures.upscaling import Upscaler
from worker.rows import ImagePromptUse, Row
from worker.settings import WorkerSettings

CUTOUTS = 16
Run = Callable[[], object]


def runs() -> tuple[Run, dict[str, tuple[Run, float]]]:
    """A denoising step of two rows, and each call to compare with it, with the number of its units."""
    models = ModelRegistry(load_catalog(CATALOG), Device(WorkerSettings()))
    model, clip, text_clip = models.diffusion("pocket"), models.clip("pocket-m"), models.clip("pocket-s")
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn(1, model.facts.latent_channels, 16, 16, generator=rng)
    prompt, nothing = model.encode_texts(["a red apple", ""]).split(1)
    rows, timestep = model.rows([(Row(prompt, 4.0), Row(nothing, -3.0))]), torch.tensor([500])
    gradients, picture = latents.expand(2, -1, -1, -1), torch.rand(1, 3, 64, 64, generator=rng)
    canvas = canvas_of((255 * picture[0]).to(torch.uint8))
    target = clip.embed_text("a red apple")
    direction = F.normalize(torch.randn(text_clip.width, generator=rng), dim=0)
    embeddings = count()
    guided = partial(_guided, models, latents, target, rng)

    def fit() -> object:
        tuning = Tuning(str(next(embeddings)), steps=5, lr=1e-5)  # one that is not remembered
        return model.personalizer.personalize("a red apple", direction, tuning, text_clip)

    step = lambda: model.predict(latents, timestep, rows)  # noqa: E731
    calls: dict[str, tuple[Run, float]] = {
        "row that is told of a picture": (_told(models, latents, timestep, canvas, (prompt, nothing)), 2),
        "row pulled back": (lambda: model.pull_back(latents, timestep, rows, gradients), 2),
        "gradient through the VAE": (guided("vae", 0), 1),
        "gradient through the linear decoder": (guided("linear", 0), 1),
        f"cutout of {CUTOUTS}": (guided("linear", CUTOUTS), CUTOUTS),
        "decoding": (lambda: model.render(latents), 1),
        "encoding": (lambda: model._encode_pictures([canvas]), 1),
        "embedding": (lambda: clip.project_pictures(picture), 1),
        # One that is not remembered.
        "text": (lambda: model.encode_texts([f"a red apple {next(embeddings)}"]), 1),
        "step of fitting": (fit, 5),
    }
    for name in ("x4plus", "x4plus-anime"):
        try:
            upscaler = Upscaler(name, models.device.threads)
        except Exception:  # without the extra
            continue
        calls[name] = (lambda upscaler=upscaler: upscaler(picture[0], 4), 1)  # type: ignore[misc]
    return step, calls


class _One(Nothing):
    """Holds one image prompt adapter."""

    def __init__(self, adapter: ImagePromptAdapter) -> None:
        self._adapter = adapter

    def image_prompt(self, adapter_id: str) -> ImagePromptAdapter:
        assert adapter_id == self._adapter.id
        return self._adapter


def _told(
    models: ModelRegistry, latents: Tensor, timestep: Tensor, canvas: Canvas, contexts: tuple[Tensor, Tensor]
) -> Run:
    """A step of two rows that are told of a picture by an IP-Adapter of random numbers."""
    model, clip = models.diffusion("pocket"), models.clip("pocket-s")
    shapes = [attention.to_k.weight.shape for attention in cross_attentions(model.networks[1]).values()]
    attentions = {
        str(2 * number + 1): Attention(width, inner) for number, (inner, width) in enumerate(shapes)
    }
    network = IPAdapter(Projection(clip.width, 4, shapes[0][1]), attentions).to(
        clip.device, models.device.dtype
    )
    adapter = ImagePromptAdapter("random", network.requires_grad_(False), ClipEncoder(clip), models.device)
    rows = (
        Row(contexts[0], 4.0, image_prompts=(ImagePromptUse("random", canvas, 1.0),)),
        Row(contexts[1], -3.0, image_prompts=(ImagePromptUse("random", None, 1.0),)),
    )
    batch = model.rows([rows], _One(adapter))
    return lambda: model.predict(latents, timestep, batch)


def _guided(
    models: ModelRegistry,
    latents: Tensor,
    target: Tensor,
    rng: torch.Generator,
    decoder: Decoder,
    cutouts: int,
) -> Run:
    """The gradient of one picture with this number of cutouts."""
    spec = CutoutSpec(cutouts, augmentation=AUGMENTATIONS["laion"])
    drawn = draw_cutouts(spec, (64, 64), models.clip("pocket-m").px, rng)
    term = ClipTerm(0, 1.0, SphericalLoss(target))
    clip_terms = (ClipTerms("pocket-m", drawn, (term,)),) if cutouts else ()
    call = Guide("pocket", latents, Loss(clip_terms, (PixelTerm(1, 0.1, "tv"),)), decoder)
    return lambda: guide([call], models, 32)


def measured(step: Run, call: Run, units: float, seconds: float) -> float:
    """Units of one call: the median of its times over those of a row, taken in turn."""
    for run in (step, call):
        run()
    ratios: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(ratios) < 3:
        ratios.append(_time(call) / units / (_time(step) / 2))
    return statistics.median(ratios)


def _time(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each kind of call")
    options = parser.parse_args()
    step, calls = runs()
    found = {name: measured(step, call, units, options.seconds) for name, (call, units) in calls.items()}
    table = Table("call", "rows")
    for name, cost in found.items():
        table.add_row(name, f"{cost:.2f}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
