"""SDXL's refiner (Podell et al. 2023, sec. 2.5): a UNet for the last steps, told the states of one text encoder.

That is the second one of SDXL. In place of the target size its UNet reads an aesthetic score.
"""

from jobs.requests.conditions.families import FamilyName
from worker.facts import RowSpec
from worker.models.adapters.files import TEXT_2
from worker.models.device import Device
from worker.models.families import original
from worker.models.families.compatibility import (
    require_autoencoder,
    require_latents,
    require_schedule,
    require_text_width,
    require_texts_and_sizes,
    require_vector_width,
)
from worker.models.families.family import Family, Parts
from worker.models.families.latent_diffusion import LatentDiffusion, extra_channels, guidance_width
from worker.models.families.stable_diffusion import VAE, unet_network
from worker.models.families.stable_diffusion_xl import ZERO_FOR_NOTHING, second_text_encoder
from worker.models.families.text_encoder import last_but_one_states, text_encoders
from worker.models.inversions.words import FindWords, no_words
from worker.models.texts import require_vocabulary

SIZE_IDS = 5  # original height and width, top and left, score


class StableDiffusionXLRefiner(LatentDiffusion):
    """One refiner. Its contexts are the last but one hidden states of its text encoder."""

    def __init__(self, parts: Parts, device: Device, find_words: FindWords = no_words) -> None:
        """Bring the parts of a checkpoint to the device, and learn the words of textual inversions."""
        encoders = text_encoders(parts, {TEXT_2: "tokenizer_2"}, last_but_one_states, device, find_words)
        encoder = encoders[TEXT_2]
        config = encoder.network.config
        row = RowSpec(
            context_length=encoder.length,
            context_width=config.hidden_size,
            vector_width=config.projection_dim + SIZE_IDS,
            size_ids=SIZE_IDS,
            tells_score=True,
            is_zero_for_nothing=bool(parts[ZERO_FOR_NOTHING]),
            guidance_width=guidance_width(parts),
            extra_channels=extra_channels(parts),
        )
        super().__init__(parts, device, encoders, row)


def _require(parts: Parts) -> None:
    """Refuse parts that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    unet, vae, text = parts["unet"].config, parts["vae"].config, parts[TEXT_2].config
    require_latents(unet, vae)
    require_text_width(unet, text.hidden_size)
    require_vector_width(unet, text.projection_dim, SIZE_IDS)
    require_autoencoder(vae)
    require_vocabulary(parts["tokenizer_2"], text.vocab_size)
    require_schedule(parts["scheduler"].config)


STABLE_DIFFUSION_XL_REFINER = Family(
    name="SDXL's refiner",
    id=FamilyName.SDXL_REFINER,
    networks={
        TEXT_2: second_text_encoder(original.REFINER_TEXT),
        "unet": unet_network(require_texts_and_sizes),
        "vae": VAE,
    },
    tokenizers={"tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast")},
    ignored=frozenset({"feature_extractor", "image_encoder"}),
    require=_require,
    require_file=original.require_latents_of_file,
    make=StableDiffusionXLRefiner,
    options={ZERO_FOR_NOTHING: False},
)
