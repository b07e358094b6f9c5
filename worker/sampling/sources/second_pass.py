"""The second pass of hires: where it starts, the enlarged result of the first."""

import threading
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError
from jobs.requests.enlarging import LATENT_MODES, ResolvedHires
from jobs.requests.request import ResolvedRequest
from worker.calls import DECODINGS, Decode, Encode
from worker.canvas import canvas_of
from worker.events import Compute, Yield
from worker.facts import ModelFacts
from worker.pictures.upscaling import FACTOR, Upscaler
from worker.raster import Raster
from worker.sampling.sources.source import Source


def source_of_second_pass(
    request: ResolvedRequest, hires: ResolvedHires, latents: Tensor, model: ModelFacts
) -> Generator[Yield, Any, Source]:
    """The source of a second pass: latents that are interpolated, or encoded from an enlarged picture.

    Args:
        request: of the job.
        hires: of the request.
        latents: that the first pass ends with, [1, C, h, w].
        model: that makes both passes.

    Raises:
        MissingExtraError: the upscaler is not installed.
        JobFailedError: it failed, or the first pass's picture is not finite.
    """
    interpolation = LATENT_MODES.get(hires.upscaler)
    if interpolation is not None:
        size = hires.height // model.latent_factor, hires.width // model.latent_factor
        mode, antialias = interpolation
        return Source(F.interpolate(latents, size, mode=mode, antialias=antialias), hires.strength)
    for _ in range(DECODINGS):
        pixels = yield from _enlargement(Raster((yield Decode(request.model, latents))), hires)
        if pixels is not None:
            x0: Tensor = yield Encode(request.model, canvas_of(pixels))
            return Source(x0, hires.strength)
    raise JobFailedError("the picture of the first pass is not finite after decoding")


def _enlargement(raster: Raster, hires: ResolvedHires) -> Generator[Yield, Any, Tensor | None]:
    """A picture at the size of the second pass, uint8 [3, H, W]; None if it is not finite."""
    left, threads = threading.Event(), torch.get_num_threads()
    try:
        pixels: Tensor | None = yield Compute(lambda: _enlarged(raster, hires, threads, left))
    finally:
        left.set()
    return pixels


def _enlarged(raster: Raster, hires: ResolvedHires, threads: int, left: threading.Event) -> Tensor | None:
    """The same, beside the engine; ends within a tile when its job has left."""
    if not raster.is_finite:
        return None
    tiles = Upscaler(hires.upscaler, threads).steps(raster.pixels(), FACTOR)
    while not left.is_set():
        try:
            next(tiles)
        except StopIteration as end:
            large: Tensor = end.value
            size = hires.height, hires.width
            fitted = F.interpolate(large[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
            return (fitted * 255).round().to(torch.uint8)
    raise JobFailedError("the job has left before its picture was enlarged")
