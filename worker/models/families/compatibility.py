"""Whether the parts of a checkpoint belong together, by their configurations, before any weight is read.

Each check raises a ``ModelUnavailableError``; a family lists those that hold for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.errors import ModelUnavailableError
from worker.facts import PREDICTIONS

_TEXT_ENCODERS = {None, "clip_text_model", "clip"}
# Fields of a UNet's configuration that name its conditions besides the text, with the values of one without any.
_CONDITIONING: dict[str, tuple[Any, ...]] = {
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "encoder_hid_dim_type": (None, "text_proj"),
    "dual_cross_attention": (None, False),
}
_SPREADS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
_VAE = {"latents_mean": "shifts", "latents_std": "scales", "shift_factor": "shifts"}


def require_clip_text_encoder(config: Mapping[str, Any]) -> None:
    """Refuse a text encoder that is not a CLIP's."""
    if config.get("model_type") not in _TEXT_ENCODERS:
        raise ModelUnavailableError(f"its text encoder is a {config['model_type']}, not a CLIP's")


def require_only_texts(unet: Mapping[str, Any]) -> None:
    """Refuse a UNet with conditions besides the states of a text."""
    _require_conditions(unet, {**_CONDITIONING, "addition_embed_type": (None, "text")})


def require_texts_and_sizes(unet: Mapping[str, Any]) -> None:
    """Refuse a UNet with other conditions than the states of a text, a pooled one and sizes."""
    _require_conditions(unet, {**_CONDITIONING, "addition_embed_type": ("text_time",)})


def require_texts_and_pictures(unet: Mapping[str, Any]) -> None:
    """Refuse a UNet with other conditions than the states of a text and a label of pictures."""
    told = {**_CONDITIONING, "addition_embed_type": (None, "text"), "class_embed_type": ("projection",)}
    _require_conditions(unet, told)


def _require_conditions(unet: Mapping[str, Any], conditions: Mapping[str, tuple[Any, ...]]) -> None:
    for field, served in conditions.items():
        if unet.get(field) not in served:
            raise ModelUnavailableError(
                f"the UNet is told more than a text: its {field} is {unet[field]!r}, which is not served"
            )


def takes_guidance(unet: Mapping[str, Any]) -> bool:
    """Whether a UNet takes the guidance scale as an input."""
    return unet.get("time_cond_proj_dim") is not None


def require_guidance(unet: Mapping[str, Any], *, is_embedded: bool) -> None:
    """Refuse a UNet that takes the guidance scale where the catalog does not say so, and the other way round."""
    takes = takes_guidance(unet)
    if takes is not is_embedded:
        verb, said = ("takes", "true") if takes else ("does not take", "false")
        raise ModelUnavailableError(
            f"its UNet {verb} the guidance scale as an input: write cfg_embedded = {said} in the catalog"
        )


def require_latents(unet: Any, vae: Any, *, edits: bool = False) -> None:
    """Refuse a UNet that gives anything but the latents of the VAE, or takes anything but these.

    One that inpaints takes a mask and the latents of the masked picture besides; one that edits, those of a picture.

    Args:
        unet: its configuration.
        vae: likewise.
        edits: whether the family has models that edit.
    """
    channels, given, taken = vae["latent_channels"], unet["out_channels"], unet["in_channels"]
    served = {channels, 2 * channels + 1, *((2 * channels,) if edits else ())}
    if taken not in served:
        editing = (
            f", and one that edits {2 * channels}" if edits else "; to edit (8 for 4) is not served here"
        )
        raise ModelUnavailableError(
            f"the UNet takes {taken} channels and the VAE's latents have {channels}: one that inpaints takes "
            f"{2 * channels + 1}{editing}; to be told of depth (5) is not served"
        )
    if given != channels:
        raise ModelUnavailableError(f"the UNet gives {given} channels and the VAE's latents have {channels}")


def require_text_width(unet: Any, width: int) -> None:
    """Refuse a UNet that reads texts as states of another width than the text encoder's."""
    widths = _text_widths(unet)
    if widths != {width}:
        raise ModelUnavailableError(
            f"the UNet reads texts as states of {', '.join(map(str, sorted(widths)))} numbers, "
            f"and the text encoder's have {width}"
        )


def require_vector_width(unet: Any, pooled: int, size_ids: int) -> None:
    """Refuse a UNet that reads other pooled texts, or another number of sizes."""
    width, read = (
        pooled + size_ids * unet["addition_time_embed_dim"],
        unet["projection_class_embeddings_input_dim"],
    )
    if width != read:
        raise ModelUnavailableError(
            f"the UNet reads a pooled text and sizes as {read} numbers, and those of a text of {pooled} and of "
            f"{size_ids} sizes are {width}"
        )


def require_same_texts(tokenizers: Sequence[Any], lengths: Sequence[int]) -> None:
    """Refuse text encoders that divide texts differently."""
    first, *others = tokenizers
    if any(other.get_vocab() != first.get_vocab() for other in others):
        raise ModelUnavailableError("its tokenizers have different vocabularies, which is not served")
    if len(set(lengths)) > 1:
        raise ModelUnavailableError(
            f"its text encoders read {' and '.join(map(str, lengths))} tokens, and have to read as many"
        )


def _text_widths(unet: Any) -> set[int]:
    if unet.get("encoder_hid_dim") is not None:
        return {unet["encoder_hid_dim"]}
    width = unet["cross_attention_dim"]
    return {width} if isinstance(width, int) else set(width)


def require_autoencoder(vae: Any) -> None:
    """Refuse a VAE whose latents are not merely scaled, or whose pictures are not RGB."""
    for field, verb in _VAE.items():
        if vae.get(field):
            raise ModelUnavailableError(f"the VAE {verb} its latents ({field}), which is not served")
    if vae["out_channels"] != 3:
        raise ModelUnavailableError(f"the VAE makes pictures of {vae['out_channels']} channels, not of 3")


def require_schedule(scheduler: Mapping[str, Any]) -> None:
    """Refuse a scheduler whose noise or predictions are of a kind that no solver knows."""
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelUnavailableError(
            f"the scheduler's prediction_type is {prediction!r}; known are {', '.join(PREDICTIONS)}"
        )
    if scheduler.get("rescale_betas_zero_snr"):
        _require_pure_noise(scheduler, prediction)
    if "beta_schedule" not in scheduler or scheduler.get("use_flow_sigmas"):
        raise ModelUnavailableError("the scheduler plans no diffusion by betas, which is what is served")


def _require_pure_noise(scheduler: Mapping[str, Any], prediction: str) -> None:
    """Refuse the start from noise alone where nothing follows from it (Lin et al. 2024, sec. 3.2)."""
    if prediction == "epsilon":
        raise ModelUnavailableError(
            "the scheduler's rescale_betas_zero_snr needs a prediction_type other than 'epsilon': "
            "the noise in noise alone says nothing of a picture"
        )
    spread = [field for field in _SPREADS if scheduler.get(field)]
    if spread:
        raise ModelUnavailableError(
            f"the scheduler's {spread[0]} spreads its levels from the largest sigma down, which is infinite with "
            "rescale_betas_zero_snr"
        )
