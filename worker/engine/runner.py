"""Runs groups of model calls within the memory there is, and keeps the failure of one call from the others."""

from collections.abc import Hashable, Sequence
from typing import Any

import structlog
import torch

from jobs.errors import (
    DeviceLostError,
    JobFailedError,
    LodestarError,
    ModelUnavailableError,
    OutOfMemoryError,
)
from worker.aesthetics.predictor import AestheticHead
from worker.calls import (
    Call,
    Decode,
    Denoise,
    Describe,
    EmbedImage,
    EmbedText,
    EncodeText,
    Facts,
    Fetch,
    Guide,
    InputSize,
    Look,
    Measure,
    Note,
    Personalize,
    Predictor,
    Preview,
    PullBack,
    Reading,
    Score,
    Stepped,
)
from worker.engine import batches
from worker.engine.fairness import batch_key, rows
from worker.engine.memory import MemoryModel
from worker.models.footprint import peak_memory
from worker.models.registry import ModelRegistry

# Views that CLIP judges at a time, the first that fits. On a CPU 32 are 8 % faster than 16, and more gain nothing.
GUIDANCE_CHUNKS = (32, 16, 8, 4, 2, 1)

log = structlog.get_logger(__name__)


class Runner:
    """Answers one group of calls at a time, on the engine's thread.

    A group that does not fit the memory is run in parts. When a part fails, its halves are tried, down to single calls:
    only a call that cannot be answered alone remains without an answer.
    """

    def __init__(self, models: ModelRegistry) -> None:
        self.models = models
        self.max_batch = models.device.max_batch
        self._memory = MemoryModel(models.device.free_bytes, models.device.batch_bytes)

    def run(self, group: Sequence[Call]) -> list[object]:
        """The answers to calls of one ``batch_key``, in their order; a LodestarError for a call that has none.

        Raises:
            DeviceLostError: neither these calls nor any others can be answered.
        """
        answers: list[object] = []
        while len(answers) < len(group):
            rest = group[len(answers) :]
            sizes = [_size(call) for call in rest]
            answers += self._attempt(rest[: self._memory.fitting(self._kind(rest[0]), sizes)])
        return answers

    def answer(self, call: Call) -> object:
        """The answer to a single call.

        Raises:
            LodestarError: it has none.
            DeviceLostError: as for ``run``.
        """
        match call:
            case Describe() | InputSize() | Predictor() | Measure():
                return self.look_up(call)
            case Fetch():
                return call.read()
            case Stepped() | Preview() | Note():
                return None
        (answer,) = self.run([call])
        if isinstance(answer, LodestarError):
            raise answer
        return answer

    def look_up(
        self, call: Describe | InputSize | Predictor | Measure
    ) -> Facts | int | AestheticHead | Reading | None:
        """What a sampler wants to know of a model; runs no network.

        Raises:
            LodestarError: the model cannot be loaded, or has no predictor.
        """
        if isinstance(call, Describe):
            return self.models.diffusion(call.model).facts
        if isinstance(call, Measure):
            reader = self.models.diffusion if call.kind == "model" else self.models.clip
            return reader(call.id).measure(call.text)
        clip = self.models.clip(call.clip)
        if isinstance(call, InputSize):
            return clip.px
        if clip.head is None:
            raise ModelUnavailableError(f"this worker's catalog names no aesthetic head for {call.clip}")
        return clip.head

    def _attempt(self, part: Sequence[Call]) -> list[object]:
        """Run a part as one batch; when that fails, its halves, or what is left to try of a single call."""
        kind, size = self._kind(part[0]), sum(_size(call) for call in part)
        try:
            return self._measured(part, kind, size)
        except DeviceLostError:
            raise
        except Exception as error:
            if _is_lost(error):
                raise DeviceLostError(f"the device is lost: {error}") from error
            failure = self._failure(error, part, kind, size)
        if len(part) == 1:
            smaller_chunks = self._kind(part[0]) != kind
            return self._attempt(part) if smaller_chunks else [failure]
        half = (len(part) + 1) // 2
        return self._attempt(part[:half]) + self._attempt(part[half:])

    def _failure(self, error: Exception, part: Sequence[Call], kind: Hashable, size: int) -> LodestarError:
        """What a call is answered that failed alone; after an out-of-memory error, room is made as well.

        No error of several calls is known to be any one's: a prompt may be what a model cannot take.
        """
        what = type(part[0]).__name__.lower()
        log.warning("batch failed", call=what, calls=len(part), error=str(error))
        # Its frames would keep the tensors of the batch in memory.
        error = error.with_traceback(None)
        if isinstance(error, LodestarError):
            return error
        if _is_out_of_memory(error):
            self._memory.refuse(kind, size)
            self.models.device.empty_cache()
            failure: LodestarError = OutOfMemoryError(
                "the picture does not fit the device's memory, even alone"
            )
        else:
            failure = JobFailedError(f"{type(error).__name__} in {what}")
        failure.__cause__ = error
        return failure

    def _measured(self, part: Sequence[Call], kind: Hashable, size: int) -> list[Any]:
        if not self._memory.worth_measuring(kind, size):
            return self._batch(part)
        with peak_memory(self.models.device.device) as peak:
            answers = self._batch(part)
        self._memory.note(kind, size, peak(), disturbed=peak.disturbed)
        return answers

    def _batch(self, part: Sequence[Any]) -> list[Any]:
        models = self.models
        match part[0]:
            case EncodeText(model=model):
                return batches.encode_texts(part, models.diffusion(model))
            case Personalize(model=model, text_clip=clip):
                return batches.personalize(part, models.diffusion(model), models.clip(clip))
            case Denoise(model=model):
                return batches.denoise(part, models.diffusion(model))
            case EmbedText(clip=clip):
                return batches.embed_texts(part, models.clip(clip))
            case EmbedImage(clip=clip):
                return batches.embed_images(part, models.clip(clip))
            case PullBack(model=model):
                return batches.pull_back(part, models.diffusion(model))
            case Guide(model=model, loss=loss):
                clips = {clip: models.clip(clip) for clip in loss.clips}
                return batches.guide(part, models.diffusion(model), clips, self._chunk(part[0]))
            case Decode(model=model):
                return batches.decode(part, models.diffusion(model))
            case Score(clip=clip):
                return batches.score(part, models.clip(clip))
            case Look(clip=clip):
                return batches.look(part, models.clip(clip))
            case call:
                raise TypeError(f"{type(call).__name__} is not run in batches")

    def _kind(self, call: Call) -> Hashable:
        """Calls whose batches take memory alike."""
        return (batch_key(call), self._chunk(call)) if isinstance(call, Guide) else batch_key(call)

    def _chunk(self, call: Guide) -> int:
        """Views judged at a time: as many as fit beside one picture, or are not known not to."""
        for chunk in GUIDANCE_CHUNKS:
            largest = self._memory.largest((batch_key(call), chunk))
            if largest is None or largest >= 1:
                return chunk
        return GUIDANCE_CHUNKS[-1]


def _size(call: Call) -> int:
    """What a call adds to the size of a batch in memory. The views of guidance come in chunks: a picture counts one."""
    return rows(call) if isinstance(call, Denoise | PullBack) else 1


def _is_out_of_memory(error: Exception) -> bool:
    # A CPU has no error class of its own for it.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _is_lost(error: Exception) -> bool:
    """Whether the error is one after which CUDA refuses every further call."""
    return (
        isinstance(error, RuntimeError)
        and not isinstance(error, torch.OutOfMemoryError)
        and "CUDA error" in str(error)
    )
