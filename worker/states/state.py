"""The states of unfinished pictures: all that another worker needs to go on with them, bit for bit.

Every solver is linear, and remembers nothing beside the parts of ``worker/patterns.py``. So the state of a picture
between two steps is these parts, the number of the next call, how far its streams of random numbers have gone, and what
its guidance remembers. All else follows from the request, and is computed again.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator, SerializationInfo, ValidationInfo, model_validator
from torch import Tensor

from jobs.status.job import GuidedStep, StoredImage
from jobs.wire import Wire

VERSION: Literal[1] = 1


def _found(value: object, info: ValidationInfo) -> Tensor:
    """A tensor, or the one of this name in the file that is read."""
    known: Mapping[str, Tensor] = info.context or {}
    found = value if isinstance(value, Tensor) else known.get(str(value))
    if found is None:
        raise ValueError("names no tensor of the file")
    return found


def _named(value: Tensor, info: SerializationInfo) -> str:
    """The name of a tensor in the file that is written, to which it is added."""
    tensors: dict[str, Tensor] = info.context  # type: ignore[assignment]  # see ``files.dump``
    name = str(len(tensors))
    tensors[name] = value.detach().cpu().contiguous()
    return name


Values = Annotated[Tensor, PlainValidator(_found), PlainSerializer(_named, return_type=str)]


class GuidanceState(Wire):
    """What the guidance of a pass remembers.

    Attributes:
        generator: its state after the last draw, bytes [N]; None before the first.
        draws: that were used.
        noisy: the last gradient D, [1, C, h, w]; None without one.
        displacement: of the estimate, [1, C, h, w] or []; None where the last gradient is not to be reused.
        best: the least loss so far; None before the first.
        since_best: gradients since that one.
        trace: every guided step.
    """

    generator: Values | None = None
    draws: int = 0
    noisy: Values | None = None
    displacement: Values | None = None
    best: float | None = None
    since_best: int = 0
    trace: tuple[GuidedStep, ...] = ()


class PassState(Wire):
    """A pass between two of its steps.

    Attributes:
        number: of the pass.
        steps: of it that are done.
        call: number of the next call of the denoiser.
        parts: of the latents and the solver's memory, [1, C, h, w] each, by their names in ``worker.patterns.PARTS``.
        noise: tensors of fresh noise that were used.
        guidance: None without any.
    """

    number: int
    steps: int
    call: int
    parts: dict[str, Values]
    noise: int
    guidance: GuidanceState | None = None


class PictureState(Wire):
    """An unfinished picture between two of its steps.

    Attributes:
        index: of the picture in its job.
        steps: that are done, over all passes.
        at: the pass on its way.
        latents: that the first pass has ended with, [1, C, h, w]; None within that.
        trace: of the first pass; empty within that.
    """

    index: int
    steps: int
    at: PassState
    latents: Values | None = None
    trace: tuple[GuidedStep, ...] = ()


class MadePicture(Wire):
    """A finished picture of an unfinished job.

    Attributes:
        index: of the picture in its job.
        seed: of the picture.
        clip_score, aesthetic_score, trace: of the picture.
        embedding: of the aesthetic scorer's space, [E].
        levels: of a picture that is yet to be upscaled, [H, W, 3] in 8 bits.
        image: its record; None if it is not stored.
    """

    index: int
    seed: int
    clip_score: float
    aesthetic_score: float | None = None
    trace: tuple[GuidedStep, ...] | None = None
    embedding: Values | None = None
    levels: Values | None = None
    image: StoredImage | None = None


class JobState(Wire):
    """An unfinished job.

    Attributes:
        version: of this form.
        fit: digest of all that has to be the same where the job goes on, see ``fit.py``.
        models: likewise of the weights of its models.
        pictures: those that are finished.
        unfinished: those that have begun.
    """

    version: Literal[1] = VERSION
    fit: str
    models: str
    pictures: tuple[MadePicture, ...] = ()
    unfinished: tuple[PictureState, ...] = ()

    def steps(self, of_a_picture: int) -> int:
        """The steps that are done, of pictures that take so many."""
        return len(self.pictures) * of_a_picture + sum(each.steps for each in self.unfinished)

    def of(self, index: int) -> PictureState | None:
        """The state of a picture; None if it has not begun."""
        return next((each for each in self.unfinished if each.index == index), None)

    @model_validator(mode="after")
    def _has_each_picture_once(self) -> "JobState":
        indexes = [each.index for each in self.pictures] + [each.index for each in self.unfinished]
        if len(indexes) != len(set(indexes)):
            raise ValueError("a picture is there twice")
        return self
