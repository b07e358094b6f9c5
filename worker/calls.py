"""The model calls that a sampler yields; ``worker/events.py`` has all else that it yields.

A sampler never touches a network itself, so the engine is free to run the calls of many samplers as one batch. Latents,
conditions and gradients stay on the model's device from the first step to the decoded picture. That is scored there and
leaves as a ``Raster``. Embeddings come to the CPU, as float32.

A new kind of model call is one class here and one entry of ``worker.engine.batches.BATCHES``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jobs.prompts.prompt import Wording
from jobs.requests.parameters import Decoder
from worker.canvas import Canvas
from worker.guidance.objectives import Loss
from worker.kept import Kept
from worker.latents import LatentState
from worker.rows import AdapterUse, Rows

# Cutouts in one batch of guidance: the most that one picture may request of one CLIP. A picture that requests more, of
# several CLIPs, is a batch by itself. So no batch lasts longer than its longest picture would alone.
MAX_BATCH_CUTOUTS = 256
MAX_BATCH_TEXTS = 64
DECODINGS = 2  # of latents whose picture is not finite


class Call(ABC):
    """A model call. The engine runs the calls of equal ``key`` as one batch, and answers each sampler its own result.

    Attributes:
        max_batch_size: most that the sizes of the calls of one batch add up to; a larger call is a batch by itself.
        micro_batches: sizes of the parts that a batch may be computed in, the largest first; empty for a batch that is
            computed whole. The runner takes the first that fits the memory.
    """

    max_batch_size: ClassVar[float] = math.inf
    micro_batches: ClassVar[tuple[int, ...]] = ()
    is_step: ClassVar[bool] = False

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Class, models and shapes: all that two calls of one batch must have in common."""

    @property
    def size(self) -> int:
        """Rows of the batch that the call takes up: its share of the batch's time and memory."""
        return 1


@dataclass(frozen=True)
class EncodeText(Call):
    """Encode a prompt's wording. Answer: its ``TextStates``."""

    model: str
    wording: Wording
    adapters: tuple[AdapterUse, ...] = ()  # of the text encoders

    @property
    def key(self) -> Hashable:
        return EncodeText, self.model, self.adapters


@dataclass(frozen=True)
class Tuning:
    """The parameters of a tuned text encoder, besides the model and the prompt.

    Attributes:
        digest: of the embedding's vector.
        steps: T, the number of Adam steps.
        lr: Adam's learning rate.
        text: turns the embedding towards this text, or away from it; None leaves it.
        text_angle: how far, as a share of the angle between the two.
        text_negative: away from the text, not towards it.
        adapters: of the encoder that is tuned.
        clip_skip: layers before the usual one whose states are read.
    """

    digest: str
    steps: int
    lr: float
    text: str | None = None
    text_angle: float = 0.0
    text_negative: bool = False
    adapters: tuple[AdapterUse, ...] = ()
    clip_skip: int = 0


@dataclass(frozen=True)
class Personalize(Call):
    """Encode a text with the first text encoder after aesthetic gradients.

    Answer: its states [1, L, D]; or, when there is more to do, the encoder as far as it is fitted, to yield again with.
    Each call fits an encoder of its own, so a batch holds one.
    """

    max_batch_size: ClassVar[float] = 1
    is_step: ClassVar[bool] = True

    model: str
    text_clip: str  # the CLIP that the text encoder belongs to
    text: str
    direction: Tensor  # [E], unit
    tuning: Tuning
    fitting: object | None = None  # the answer so far, which only the model understands

    @property
    def key(self) -> Hashable:
        return Personalize, self.model


@dataclass(frozen=True, eq=False)
class Encode(Call):
    """Encode a picture. Answer: its latents [1, C, h, w], the mode of the VAE's posterior, scaled for the denoiser."""

    model: str
    picture: Canvas

    @property
    def key(self) -> Hashable:
        return Encode, self.model, self.picture.shape


@dataclass(frozen=True, eq=False)
class Denoise(Call):
    """Denoise a picture's rows, and take its solver on by one call. Answer: a ``Prediction``, of the latents before."""

    is_step: ClassVar[bool] = True

    model: str
    state: LatentState  # moved on when the call has been answered
    rows: Rows
    kept: Kept | None = None
    noise: Tensor | None = None  # standard normal, on the CPU, [1, C, h, w]; where the solver draws some
    rescale: float = 0.0  # share by which the spread of the combined output is brought back

    @property
    def key(self) -> Hashable:
        return Denoise, self.model, self.state.shape, self.rows[0].key

    @property
    def size(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class PullBack(Call):
    """Carry gradients back through the denoiser: its vector-Jacobian products, one for each row.

    Answer: the gradient with respect to the latents [1, C, h, w], summed over the rows.
    """

    is_step: ClassVar[bool] = True

    model: str
    latents: Tensor  # [1, C, h, w]
    timestep: Tensor  # [1]
    rows: Rows
    gradient: Tensor  # with respect to the outputs, [R, C, h, w]

    @property
    def key(self) -> Hashable:
        return PullBack, self.model, self.latents.shape, self.rows[0].key

    @property
    def size(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class EmbedText(Call):
    """Embed a text with a CLIP. Answer: a unit vector [1, E]."""

    clip: str
    text: str

    @property
    def key(self) -> Hashable:
        return EmbedText, self.clip


@dataclass(frozen=True)
class EmbedTexts(Call):
    """Embed up to ``MAX_BATCH_TEXTS`` texts with a CLIP, a batch of their own. Answer: unit vectors [N, E]."""

    max_batch_size: ClassVar[float] = 1

    clip: str
    texts: tuple[str, ...]

    @property
    def key(self) -> Hashable:
        return EmbedTexts, self.clip


@dataclass(frozen=True)
class EmbedImage(Call):
    """Embed a picture with a CLIP. Answer: its image features [1, E], not normalised."""

    clip: str
    picture: Tensor  # [3, H, W] in [0, 1], on any device

    @property
    def key(self) -> Hashable:
        return EmbedImage, self.clip, self.picture.shape


@dataclass(frozen=True)
class Guide(Call):
    """Differentiate the guidance loss of a picture. Answer: a ``Gradient`` with respect to the latents."""

    max_batch_size: ClassVar[float] = MAX_BATCH_CUTOUTS
    # The CLIP may ask for fewer: as many as keep its device busy.
    micro_batches: ClassVar[tuple[int, ...]] = (64, 32, 16, 8, 4, 2, 1)
    is_step: ClassVar[bool] = True

    model: str
    latents: Tensor  # [1, C, h, w]
    loss: Loss
    decoder: Decoder

    @property
    def key(self) -> Hashable:
        return Guide, self.model, self.latents.shape, self.decoder, self.loss.clips

    @property
    def size(self) -> int:
        return max(1, sum(len(terms.cutouts) for terms in self.loss.clip_terms))


@dataclass(frozen=True)
class Decode(Call):
    """Decode latents. Answer: a picture [3, H, W] in [0, 1], on the device; NaN where the decoder overflowed.

    From then on the model decodes in a wider number format. Who finds it so asks again: ``DECODINGS`` times in all.
    """

    model: str
    latents: Tensor  # [1, C, h, w]

    @property
    def key(self) -> Hashable:
        return Decode, self.model, self.latents.shape
