"""The model calls that a sampler yields; the engine runs them and sends each answer back.

A sampler never touches a network itself, so the engine is free to run the calls of many samplers together. All tensors
are float32 on the CPU, where each sampler does its own arithmetic; the runner moves a whole batch at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from jobs.requests.parameters import Decoder
from worker.aesthetics.fitting import Fitting
from worker.aesthetics.personalization import Tuning
from worker.guidance.objectives import Loss


@dataclass(frozen=True)
class Describe:
    """Load a model if need be. Answer: its ``Facts``."""

    model: str


@dataclass(frozen=True)
class Facts:
    """What a sampler must know of a model."""

    latent_channels: int
    latent_factor: int  # pixels along one side of a latent
    scheduler_config: dict[str, Any]


@dataclass(frozen=True)
class EncodeText:
    """Condition on a text. Answer: the text encoder's last hidden state [1, L, D]; L is the same for all texts."""

    model: str
    text: str


@dataclass(frozen=True)
class Personalize:
    """Condition on a text as the encoder reads it after aesthetic gradients.

    Answer: as of ``EncodeText``; or, when there is more to do, the encoder as far as it is fitted, to ask again with.
    """

    model: str
    text_clip: str  # the CLIP that the text encoder belongs to
    text: str
    direction: Tensor  # [E], unit
    tuning: Tuning
    fitting: Fitting | None = None  # the answer so far


@dataclass(frozen=True)
class Denoise:
    """Ask the UNet for its output under each of R conditions. Answer: [R, C, h, w]."""

    model: str
    latents: Tensor  # [1, C, h, w], variance preserving
    timestep: Tensor  # []
    context: Tensor  # [R, L, D]


@dataclass(frozen=True)
class PullBack:
    """Carry gradients back through the UNet: its vector-Jacobian products, one for each condition.

    Answer: the gradient with respect to the latents [1, C, h, w], summed over the conditions.
    """

    model: str
    latents: Tensor  # [1, C, h, w], as for ``Denoise``
    timestep: Tensor  # []
    context: Tensor  # [R, L, D]
    gradient: Tensor  # with respect to the outputs, [R, C, h, w]


@dataclass(frozen=True)
class EmbedText:
    """Embed a text with a CLIP. Answer: a unit vector [1, E]."""

    clip: str
    text: str


@dataclass(frozen=True)
class EmbedImage:
    """Embed a picture with a CLIP. Answer: a unit vector [1, E]."""

    clip: str
    picture: Tensor  # [3, H, W] in [0, 1]


@dataclass(frozen=True)
class InputSize:
    """Ask how large a CLIP's input is. Answer: its width in pixels, an int."""

    clip: str


@dataclass(frozen=True)
class Predictor:
    """Ask for a CLIP's aesthetic predictor. Answer: an ``AestheticHead``."""

    clip: str


@dataclass(frozen=True)
class Measure:
    """Ask how much of a text its reader reads. Answer: a ``Reading``, or None where the reader does not tell."""

    kind: Literal["model", "clip"]
    id: str
    text: str


@dataclass(frozen=True)
class Reading:
    """How long a text is, and how much is read of it."""

    tokens: int  # of the text
    room: int  # for tokens of a text
    limit: int  # the same with those that the reader adds of its own


@dataclass(frozen=True)
class Guide:
    """Differentiate the guidance loss of a picture. Answer: a ``Gradient`` with respect to the latents."""

    model: str
    latents: Tensor  # what is decoded, [1, C, h, w]
    loss: Loss
    decoder: Decoder


@dataclass(frozen=True)
class Decode:
    """Decode latents. Answer: a picture [3, H, W] in [0, 1], NaN where the decoder's answer was not finite."""

    model: str
    latents: Tensor  # [1, C, h, w]


@dataclass(frozen=True)
class Score:
    """Compare a finished picture with a text. Answer: their cosine similarity, a float."""

    clip: str
    picture: Tensor  # [3, H, W] in [0, 1]
    target: Tensor  # [1, E], unit


@dataclass(frozen=True)
class Look:
    """Look at a picture. Answer: a ``Sight``."""

    clip: str
    picture: Tensor  # [3, H, W] in [0, 1]


@dataclass(frozen=True)
class Sight:
    """What a CLIP sees in a picture."""

    embedding: Tensor  # [1, E], as the network gives it, not normalised
    aesthetic_score: float | None  # None if the CLIP has no aesthetic head


@dataclass(frozen=True)
class Fetch:
    """Not a call of a network: read something that takes time, beside the computing. Answer: what ``read`` returns."""

    read: Callable[[], Tensor]


@dataclass(frozen=True)
class Stepped:
    """Not a call: one step is done. The engine notes it and answers None."""


@dataclass(frozen=True)
class Preview:
    """Not a call either: what the picture looks like so far. The engine hands it on and answers None."""

    index: int
    step: int  # steps done, from 1
    pixels: Tensor  # [3, H, W] in [0, 1]


@dataclass(frozen=True)
class Note:
    """Not a call either: something that a person should know of the job. The engine keeps it and answers None."""

    sentence: str


Call = (
    Describe
    | EncodeText
    | Personalize
    | Denoise
    | PullBack
    | EmbedText
    | EmbedImage
    | InputSize
    | Predictor
    | Measure
    | Guide
    | Decode
    | Score
    | Look
    | Fetch
    | Stepped
    | Preview
    | Note
)
