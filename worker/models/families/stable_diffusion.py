"""Stable Diffusion 1.x and 2.x: a UNet on the latents of a VAE, conditioned by the states of one CLIP text encoder."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from jobs.requests.conditions.families import FamilyName
from worker.facts import RowSpec
from worker.models.adapters.files import TEXT
from worker.models.device import Device
from worker.models.families import original
from worker.models.families.compatibility import (
    require_autoencoder,
    require_clip_text_encoder,
    require_latents,
    require_only_texts,
    require_schedule,
    require_text_width,
)
from worker.models.families.family import Family, Network, Parts
from worker.models.families.latent_diffusion import LatentDiffusion, extra_channels, guidance_width
from worker.models.families.personalizer import Personalizer
from worker.models.families.text_encoder import last_states, text_encoders
from worker.models.inversions.words import FindWords, no_words
from worker.models.texts import require_vocabulary


class StableDiffusion(LatentDiffusion):
    """One Stable Diffusion checkpoint. Its contexts are the last hidden states of the text encoder."""

    def __init__(self, parts: Parts, device: Device, find_words: FindWords = no_words) -> None:
        """Bring the parts of a checkpoint to the device, and learn the words of textual inversions."""
        encoders = text_encoders(parts, {TEXT: "tokenizer"}, last_states, device, find_words)
        encoder = encoders[TEXT]
        row = RowSpec(
            context_length=encoder.length,
            context_width=encoder.network.config.hidden_size,
            guidance_width=guidance_width(parts),
            extra_channels=extra_channels(parts),
        )
        super().__init__(parts, device, encoders, row, Personalizer(encoder))


def require_parts(parts: Parts) -> None:
    """Refuse parts that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    unet, vae, text_encoder = parts["unet"].config, parts["vae"].config, parts["text_encoder"].config
    require_latents(unet, vae, edits=True)
    require_text_width(unet, text_encoder.hidden_size)
    require_autoencoder(vae)
    require_vocabulary(parts["tokenizer"], text_encoder.vocab_size)
    require_schedule(parts["scheduler"].config)


def text_encoder(folder: Path) -> CLIPTextModel:
    """A text encoder as its folder describes it, without weights."""
    return CLIPTextModel(CLIPTextConfig.from_pretrained(folder, local_files_only=True))


def _unet(folder: Path, **changes: Any) -> UNet2DConditionModel:
    config = {**UNet2DConditionModel.load_config(folder), **changes}
    unet: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    return unet


def unet_network(require: Callable[[Mapping[str, Any]], None]) -> Network:
    """The UNet of a family, which refuses the configurations of other kinds."""
    return Network(
        title="the UNet",
        classes=("UNet2DConditionModel",),
        stem="diffusion_pytorch_model",
        empty=_unet,
        require=require,
        prefix=original.UNET,
        convert=original.unet,
    )


TEXT_ENCODER = Network(
    title="the text encoder",
    classes=("CLIPTextModel", "CLIPTextModelWithProjection"),
    stem="model",
    empty=text_encoder,
    require=require_clip_text_encoder,
    prefix=original.TEXT,
    convert=original.text_encoder,
    is_unread=original.is_unread_text,
)
VAE = Network(
    title="the VAE",
    classes=("AutoencoderKL",),
    stem="diffusion_pytorch_model",
    empty=lambda folder: AutoencoderKL.from_config(AutoencoderKL.load_config(folder)),
    require=lambda _: None,
    prefix=original.VAE,
    convert=original.vae,
    renamed=original.with_new_attention,
)
STABLE_DIFFUSION = Family(
    name="Stable Diffusion 1.x and 2.x",
    id=FamilyName.SD,
    networks={
        TEXT: TEXT_ENCODER,
        "unet": unet_network(require_only_texts),
        "vae": VAE,
    },
    tokenizers={"tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast")},
    ignored=frozenset({"safety_checker", "feature_extractor", "image_encoder"}),
    require=require_parts,
    require_file=partial(original.require_latents_of_file, edits=True),
    make=StableDiffusion,
)
