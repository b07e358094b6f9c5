"""Stable unCLIP 2.1: a Stable Diffusion 2 whose UNet is told an embedding of a picture as well, with noise.

After "Hierarchical Text-Conditional Image Generation with CLIP Latents" (Ramesh et al. 2022), without its prior.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from torch import Tensor
from torch.nn import Module
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from jobs.errors import ModelUnavailableError
from jobs.requests.conditions.families import FamilyName
from worker.facts import RowSpec
from worker.models.adapters.files import TEXT
from worker.models.device import Device
from worker.models.families import original
from worker.models.families.compatibility import require_schedule, require_texts_and_pictures
from worker.models.families.family import Family, Network, Parts
from worker.models.families.latent_diffusion import LatentDiffusion, extra_channels, guidance_width
from worker.models.families.personalizer import Personalizer
from worker.models.families.picture_labels import ENCODER, NOISING, NORMALIZER, PREPARATION, PictureLabels
from worker.models.families.stable_diffusion import TEXT_ENCODER, VAE, require_parts, unet_network
from worker.models.families.text_encoder import last_states, text_encoders
from worker.models.inversions.words import FindWords, no_words
from worker.rows import Row


class StableUnClip(LatentDiffusion):
    """One checkpoint. Its rows carry a label of pictures; zeros for none, as in training."""

    def __init__(self, parts: Parts, device: Device, find_words: FindWords = no_words) -> None:
        """Bring the parts of a checkpoint to the device, and learn the words of textual inversions."""
        encoders = text_encoders(parts, {TEXT: "tokenizer"}, last_states, device, find_words)
        encoder, labels = encoders[TEXT], PictureLabels(parts, device)
        row = RowSpec(
            context_length=encoder.length,
            context_width=encoder.network.config.hidden_size,
            vector_width=2 * labels.width,
            reads_pictures=True,
            guidance_width=guidance_width(parts),
            extra_channels=extra_channels(parts),
        )
        self._picture_labels = labels
        super().__init__(parts, device, encoders, row, Personalizer(encoder))

    @property
    def networks(self) -> tuple[Module, ...]:
        return *super().networks, *self._picture_labels.networks

    @torch.no_grad()
    def _labels(self, rows: Sequence[Row]) -> Tensor:
        return self._picture_labels([row.label for row in rows])

    def try_pictures(self) -> Tensor:
        return self._picture_labels.tried()


def _require(parts: Parts) -> None:
    """Refuse parts that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    require_parts(parts)
    require_schedule(parts[NOISING])
    width = parts[ENCODER].config.projection_dim
    read = parts["unet"].config.projection_class_embeddings_input_dim
    if read != 2 * width:
        raise ModelUnavailableError(
            f"the UNet reads pictures as {read} numbers, and those of an embedding of {width} and of its noise are "
            f"{2 * width}"
        )
    own = parts[NORMALIZER].config.embedding_dim
    if own != width:
        raise ModelUnavailableError(
            f"the image normalizer is for embeddings of {own} numbers, and those of its image encoder have {width}"
        )


def _image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(CLIPVisionConfig.from_pretrained(folder, local_files_only=True))


def _normalizer(folder: Path) -> Any:
    return StableUnCLIPImageNormalizer.from_config(StableUnCLIPImageNormalizer.load_config(folder))


def _in_one_file(_tensors: Any, _network: Any) -> NoReturn:
    raise ModelUnavailableError("a Stable unCLIP in one file is not served; give the diffusers folder of it")


STABLE_UNCLIP = Family(
    name="Stable unCLIP 2.1",
    id=FamilyName.UNCLIP,
    networks={
        TEXT: TEXT_ENCODER,
        "unet": unet_network(require_texts_and_pictures),
        "vae": VAE,
        ENCODER: Network(
            title="the image encoder",
            classes=("CLIPVisionModelWithProjection",),
            stem="model",
            empty=_image_encoder,
            require=lambda _: None,
            prefix="embedder.",
            convert=_in_one_file,
        ),
        NORMALIZER: Network(
            title="the image normalizer",
            classes=("StableUnCLIPImageNormalizer",),
            stem="diffusion_pytorch_model",
            empty=_normalizer,
            require=lambda _: None,
            prefix="noise_augmentor.",
            convert=_in_one_file,
        ),
    },
    tokenizers={"tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast")},
    ignored=frozenset({"safety_checker"}),
    require=_require,
    require_file=original.require_latents_of_file,
    make=StableUnClip,
    described={PREPARATION: "preprocessor_config.json", NOISING: "scheduler_config.json"},
)
