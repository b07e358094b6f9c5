"""The second pass of hires: where it starts, the enlarged result of the first."""

import threading
from collections.abc import Generator, Sequence
from typing import Any

import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import JobFailedError
from jobs.pictures.fitting import FINE, fitted
from jobs.requests.enlarging import LATENT_MODES, NETWORKS, HiresUpscaler, ResolvedHires
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.init import Fit
from worker.calls import DECODINGS, Decode, Encode
from worker.canvas import canvas_of
from worker.events import Compute, Yield
from worker.facts import ModelFacts
from worker.pictures.levels import levels
from worker.pictures.upscaling import FACTOR, held_upscaler
from worker.raster import Raster, quantized
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
    if hires.upscaler in LATENT_MODES:
        return Source(_interpolated(latents, hires, model.latent_factor), hires.strength)
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


def _interpolated(latents: Tensor, hires: ResolvedHires, factor: int) -> Tensor:
    """Latents [1, C, h, w] at the size of the second pass, with ``factor`` pixels on a side of each."""
    mode, antialias = LATENT_MODES[hires.upscaler]
    size = hires.height // factor, hires.width // factor
    large = size if _fit(hires) is Fit.STRETCH else _covering(size, latents.shape[2:])
    top, left = ((of - wanted) // 2 for of, wanted in zip(large, size, strict=True))
    made = F.interpolate(latents, large, mode=mode, antialias=antialias)
    return made[:, :, top : top + size[0], left : left + size[1]]


def _fit(hires: ResolvedHires) -> Fit:
    """A size by scale has the shape of the first pass, but for its rounding; any other may not have it."""
    return Fit.CROP if hires.scale is None else Fit.STRETCH


def _covering(size: tuple[int, int], shape: Sequence[int]) -> tuple[int, int]:
    """The smallest height and width of a shape that leave nothing of a size uncovered."""
    factor = max(wanted / side for wanted, side in zip(size, shape, strict=True))
    height, width = (max(wanted, round(side * factor)) for wanted, side in zip(size, shape, strict=True))
    return height, width


def _enlarged(raster: Raster, hires: ResolvedHires, threads: int, left: threading.Event) -> Tensor | None:
    """The same, beside the engine; ends within a tile when its job has left."""
    if not raster.is_finite:
        return None
    large = raster.levels()
    if hires.upscaler in NETWORKS:
        large = quantized(_by_network(raster.pixels(), hires.upscaler, threads, left)).numpy()
    resample = Resampling.NEAREST if hires.upscaler is HiresUpscaler.NEAREST else FINE
    return levels(fitted(Image.fromarray(large), hires.width, hires.height, _fit(hires), resample=resample))


def _by_network(picture: Tensor, network: str, threads: int, left: threading.Event) -> Tensor:
    """A picture [3, H, W] in [0, 1], four times as wide and high."""
    tiles = held_upscaler(network, threads).steps(picture, FACTOR)
    while not left.is_set():
        try:
            next(tiles)
        except StopIteration as end:
            large: Tensor = end.value
            return large
    raise JobFailedError("the job has left before its picture was enlarged")
