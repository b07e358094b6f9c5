"""How many cutouts a CLIP embeds at a time for a gradient: as few as keep its device busy."""

import time
from collections.abc import Callable, Sequence

import structlog
import torch

from worker.models.clip import ClipModel

SIZES = (4, 8, 16, 32, 64)
LEAST_GAIN = 1.05  # in cutouts a second, for which twice the memory is taken
ROUNDS = 3  # of which the fastest counts

log = structlog.get_logger(__name__)


class CutoutBatches:
    """Measures each CLIP once in a process, however often it is loaded."""

    def __init__(self) -> None:
        self._measured: dict[str, int] = {}

    def of(self, clip_id: str, clip: ClipModel) -> int:
        """Cutouts at a time.

        Args:
            clip_id: its id in the catalog.
            clip: in memory.
        """
        if clip_id not in self._measured:
            started = time.monotonic()
            self._measured[clip_id] = busy_batch(lambda size: _seconds(clip, size), SIZES)
            log.info(
                "measured",
                id=clip_id,
                cutouts_at_a_time=self._measured[clip_id],
                seconds=round(time.monotonic() - started, 2),
            )
        return self._measured[clip_id]


def busy_batch(seconds: Callable[[int], float], sizes: Sequence[int]) -> int:
    """The last size that was worth going on to: until more gain nothing, or do not fit the memory.

    Args:
        seconds: that a batch of a size takes; torch.OutOfMemoryError where it does not fit.
        sizes: to try, the smallest first.
    """
    chosen, best = sizes[0], 0.0
    for size in sizes:
        try:
            rate = size / seconds(size)
        except torch.OutOfMemoryError:
            break
        if rate < LEAST_GAIN * best:
            break
        chosen, best = size, rate
    return chosen


def _seconds(clip: ClipModel, size: int) -> float:
    """The time of a forward pass and of its gradient."""
    _run(clip, size)  # libraries choose their kernels at the first
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _run(clip, size)
        times.append(time.perf_counter() - started)
    return min(times)


def _run(clip: ClipModel, size: int) -> None:
    pictures = torch.full((size, 3, clip.px, clip.px), 0.5, device=clip.device, requires_grad=True)
    with torch.enable_grad():
        clip.embed(pictures).sum().backward()
    if clip.device.type == "cuda":
        torch.cuda.synchronize(clip.device)
