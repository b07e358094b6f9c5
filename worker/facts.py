"""The properties of models and CLIPs that samplers depend on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

PREDICTIONS = ("epsilon", "v_prediction", "sample")  # quantities that a denoiser may predict
IS_XL = "is_xl"  # key of ``levels``, for levels that were published for SDXL by itself


@dataclass(frozen=True)
class Reading:
    """The length of a text, and the part of it that its encoder reads."""

    tokens: int  # of the text
    room: int  # for tokens of a text
    limit: int  # room, and the tokens that the encoder adds


@dataclass(frozen=True)
class RowSpec:
    """The conditions that a row of a model's batch carries (``worker/rows.py``)."""

    context_length: int  # L, tokens that its text encoder reads at once
    context_width: int  # D, of the state of a token
    vector_width: int = 0  # V; 0 without a vector
    reads_pictures: bool = (
        False  # whether the vector is a label of pictures, of which its embeddings have V / 2 numbers
    )
    size_ids: int = 0  # of the vector's numbers the last, which tell sizes; the others are of the pooled text
    tells_score: bool = False  # whether they end with an aesthetic score in place of the target size
    is_zero_for_nothing: bool = (
        False  # whether an empty negative prompt is zeros, not the states of an empty text
    )
    guidance_width: int = 0  # G, of the embedded guidance scale; 0 for models that are not told it
    extra_channels: int = 0  # K, beside the latents


@dataclass(frozen=True)
class ModelFacts:
    """Properties of a diffusion model that a sampler depends on."""

    latent_channels: int
    latent_factor: int  # pixels along one side of a latent
    scheduler_config: dict[
        str, Any
    ]  # noise levels, their spacing, and what is predicted, as diffusers names them
    row: RowSpec
    device: torch.device  # of latents and conditions
    measure: Callable[[str], Reading | None] = field(compare=False)  # None where the tokenizer cannot tell
    latent_scale: float = 1.0  # of the VAE's latents, as the denoiser reads them

    @property
    def levels(self) -> dict[str, Any]:
        """What places the noise levels of a run: ``scheduler_config``, and whether the model is of SDXL's kind."""
        return self.scheduler_config | ({IS_XL: True} if self.row.size_ids else {})

    @property
    def sees_hole(self) -> bool:
        """Whether its rows carry a mask and the latents of the masked picture, as inpainting UNets read them."""
        return self.row.extra_channels == 1 + self.latent_channels

    @property
    def sees_picture(self) -> bool:
        """Whether its rows carry the latents of a picture to edit, as those of InstructPix2Pix do."""
        return self.row.extra_channels == self.latent_channels


@dataclass(frozen=True)
class ClipFacts:
    """Properties of a CLIP that a sampler depends on."""

    px: int  # width and height of its input
    head: (
        Callable[[Tensor], Tensor] | None
    )  # unit vectors [N, E] to aesthetic scores [N]; None without a predictor
    measure: Callable[[str], Reading | None] = field(compare=False)  # None where the tokenizer cannot tell


@dataclass(frozen=True)
class Facts:
    """The facts of the models and CLIPs that are pinned for a job, by their ids."""

    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    clips: Mapping[str, ClipFacts] = field(default_factory=dict)
