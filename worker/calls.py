"""The model calls that a sampler yields; the engine runs them and sends each answer back.

A sampler never touches a network itself, so the engine is free to run the calls of many samplers together. All tensors
are float32 on the CPU, where each sampler does its own arithmetic; the runner moves a whole batch at once.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from worker.aesthetics.personalization import Tuning
from worker.guidance.cutouts import Views


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
    """Condition on a text as the encoder reads it after aesthetic gradients. Answer: as of ``EncodeText``."""

    model: str
    text_clip: str  # the CLIP that the text encoder belongs to
    text: str
    direction: Tensor  # [E], unit
    tuning: Tuning


@dataclass(frozen=True)
class Denoise:
    """Ask the UNet for its output under classifier-free guidance. Answer: [1, C, h, w].

    ``unconditional`` is None when ``cfg_scale`` is 1, which saves half of the work.
    """

    model: str
    latents: Tensor  # [1, C, h, w], scaled as the solver scales the model's input
    timestep: Tensor  # []
    conditional: Tensor  # [1, L, D]
    unconditional: Tensor | None  # [1, L, D]
    cfg_scale: float


@dataclass(frozen=True)
class EmbedText:
    """Embed a text with a CLIP. Answer: a unit vector [1, E]."""

    clip: str
    text: str


@dataclass(frozen=True)
class InputSize:
    """Ask how large a CLIP's input is. Answer: its width in pixels, an int."""

    clip: str


@dataclass(frozen=True)
class Guide:
    """Differentiate the guidance loss. Answer: a ``Gradient`` with respect to the denoised latents."""

    model: str
    clip: str
    denoised: Tensor  # [1, C, h, w]
    target: Tensor  # [1, E], unit
    views: Views


@dataclass(frozen=True)
class Decode:
    """Decode latents. Answer: a picture [3, H, W] in [0, 1]."""

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
class Stepped:
    """Not a call: one step is done. The engine notes it and answers None.

    ``denoised`` is what the picture would be by the present estimate, guidance included: decode it for a preview.
    """

    denoised: Tensor | None = None  # [1, C, h, w]; None when the job makes no picture


Call = (
    Describe
    | EncodeText
    | Personalize
    | Denoise
    | EmbedText
    | InputSize
    | Guide
    | Decode
    | Score
    | Look
    | Stepped
)
