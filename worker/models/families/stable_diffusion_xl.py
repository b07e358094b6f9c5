"""Stable Diffusion XL (Podell et al. 2023): a UNet told the states of two text encoders, a pooled one, and sizes.

Both encoders are read before their last layer. The pooled state is the second one's, projected. Of each size and cut,
pixels go into the network as they are: height before width.
"""

from functools import partial
from pathlib import Path

from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from jobs.requests.conditions.families import FamilyName
from worker.facts import RowSpec
from worker.models.adapters.files import TEXT, TEXT_2
from worker.models.device import Device
from worker.models.families import original
from worker.models.families.compatibility import (
    require_autoencoder,
    require_clip_text_encoder,
    require_latents,
    require_same_texts,
    require_schedule,
    require_text_width,
    require_texts_and_sizes,
    require_vector_width,
)
from worker.models.families.family import Family, Network, Parts
from worker.models.families.latent_diffusion import LatentDiffusion, extra_channels, guidance_width
from worker.models.families.personalizer import Personalizer
from worker.models.families.stable_diffusion import VAE, text_encoder, unet_network
from worker.models.families.text_encoder import last_but_one_states, text_encoders
from worker.models.inversions.words import FindWords, no_words
from worker.models.texts import require_vocabulary

SIZE_IDS = 6  # original height and width, top and left, target height and width
ZERO_FOR_NOTHING = "force_zeros_for_empty_prompt"


class StableDiffusionXL(LatentDiffusion):
    """One SDXL checkpoint. Its contexts are the last but one hidden states of both text encoders, side by side."""

    def __init__(self, parts: Parts, device: Device, find_words: FindWords = no_words) -> None:
        """Bring the parts of a checkpoint to the device, and learn the words of textual inversions."""
        tokenizers = {TEXT: "tokenizer", TEXT_2: "tokenizer_2"}
        encoders = text_encoders(parts, tokenizers, last_but_one_states, device, find_words)
        first = encoders[TEXT]
        configs = [encoder.network.config for encoder in encoders.values()]
        row = RowSpec(
            context_length=first.length,
            context_width=sum(config.hidden_size for config in configs),
            vector_width=configs[1].projection_dim + SIZE_IDS,
            size_ids=SIZE_IDS,
            is_zero_for_nothing=bool(parts[ZERO_FOR_NOTHING]),
            guidance_width=guidance_width(parts),
            extra_channels=extra_channels(parts),
        )
        super().__init__(parts, device, encoders, row, Personalizer(first))


def _require(parts: Parts) -> None:
    """Refuse parts that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    unet, vae = parts["unet"].config, parts["vae"].config
    texts = [parts[name].config for name in (TEXT, TEXT_2)]
    tokenizers = [parts[name] for name in ("tokenizer", "tokenizer_2")]
    require_latents(unet, vae)
    require_text_width(unet, sum(config.hidden_size for config in texts))
    require_vector_width(unet, texts[1].projection_dim, SIZE_IDS)
    require_autoencoder(vae)
    for tokenizer, config in zip(tokenizers, texts, strict=True):
        require_vocabulary(tokenizer, config.vocab_size)
    lengths = [
        min(tokenizer.model_max_length, config.max_position_embeddings)
        for tokenizer, config in zip(tokenizers, texts, strict=True)
    ]
    require_same_texts(tokenizers, lengths)
    require_schedule(parts["scheduler"].config)


def _projected_text_encoder(folder: Path) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(folder, local_files_only=True))


def second_text_encoder(prefix: str) -> Network:
    """The OpenCLIP's text encoder, whose keys in one file begin with a prefix."""
    return Network(
        title="the second text encoder",
        classes=("CLIPTextModelWithProjection",),
        stem="model",
        empty=_projected_text_encoder,
        require=require_clip_text_encoder,
        prefix=prefix,
        convert=partial(original.open_clip_text_encoder, prefix=prefix),
        is_unread=original.is_divided,
    )


STABLE_DIFFUSION_XL = Family(
    name="Stable Diffusion XL",
    id=FamilyName.SDXL,
    networks={
        TEXT: Network(
            title="the text encoder",
            classes=("CLIPTextModel", "CLIPTextModelWithProjection"),
            stem="model",
            empty=text_encoder,
            require=require_clip_text_encoder,
            prefix=original.XL_TEXT,
            convert=original.text_encoder,
        ),
        TEXT_2: second_text_encoder(original.XL_TEXT_2),
        "unet": unet_network(require_texts_and_sizes),
        "vae": VAE,
    },
    tokenizers={
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
    },
    ignored=frozenset({"feature_extractor", "image_encoder"}),
    require=_require,
    require_file=original.require_latents_of_file,
    make=StableDiffusionXL,
    options={ZERO_FOR_NOTHING: True},
)
