"""The parts of a Stable Diffusion that is served, and whether those of one belong together.

The UNet is conditioned by the hidden states of one CLIP text encoder and by nothing else, and works on the latents of
its VAE. Configurations tell all of that before any weight is read.
"""

from collections.abc import Mapping
from typing import Any

from jobs.errors import ModelUnavailableError
from worker.facts import PREDICTIONS

# Pipelines of the same networks, whose other abilities are not used.
_PIPELINES = {
    "StableDiffusionPipeline",
    "StableDiffusionPipelineSafe",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
}
_CLASSES = {
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
}
_IGNORED = {"safety_checker", "feature_extractor", "image_encoder"}
_TEXT_ENCODERS = {None, "clip_text_model", "clip"}
# Fields of a UNet's configuration that name its conditions besides the text, with the values that are served.
_CONDITIONING: dict[str, tuple[Any, ...]] = {
    "addition_embed_type": (None, "text"),  # SDXL has "text_time"
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "encoder_hid_dim_type": (None, "text_proj"),
    "time_cond_proj_dim": (None,),  # of models conditioned on their guidance scale
    "dual_cross_attention": (None, False),
}
_VAE = {"latents_mean": "shifts", "latents_std": "scales", "shift_factor": "shifts"}


def require_our_kind(index: Mapping[str, Any]) -> None:
    """Refuse a ``model_index.json`` of another pipeline, or with other parts.

    Raises:
        ModelUnavailableError: it is one.
    """
    if index.get("_class_name") not in _PIPELINES:
        raise ModelUnavailableError(
            f"it is a {index.get('_class_name')}, and a StableDiffusionPipeline is what is served"
        )
    parts = {name: part[1] for name, part in index.items() if isinstance(part, list) and part[-1]}
    for name in (*_CLASSES, "scheduler"):
        if name not in parts:
            raise ModelUnavailableError(f"its model_index.json names no {name}")
        if name in _CLASSES and parts[name] not in _CLASSES[name]:
            raise ModelUnavailableError(f"its {name} is a {parts[name]}, not a {_CLASSES[name][0]}")
    others = sorted(parts.keys() - _CLASSES.keys() - _IGNORED - {"scheduler"})
    if others:
        raise ModelUnavailableError(f"it has parts that are not served: {', '.join(others)}")


def require_network(network: str, config: Mapping[str, Any]) -> None:
    """Refuse the configuration of a network of another class, or of a UNet with conditions besides the text.

    Raises:
        ModelUnavailableError: it is one.
    """
    kind = config.get("_class_name")
    if kind is not None and kind not in _CLASSES[network]:
        raise ModelUnavailableError(f"its {network} is a {kind}, not a {_CLASSES[network][0]}")
    if network == "text_encoder" and config.get("model_type") not in _TEXT_ENCODERS:
        raise ModelUnavailableError(f"its text encoder is a {config['model_type']}, not a CLIP's")
    for field, served in _CONDITIONING.items() if network == "unet" else ():
        if config.get(field) not in served:
            raise ModelUnavailableError(
                f"the UNet is told more than a text: its {field} is {config[field]!r}, which is not served"
            )


def require_compatibility(text_encoder: Any, unet: Any, vae: Any) -> None:
    """Refuse networks that do not fit each other, by their configurations.

    Raises:
        ModelUnavailableError: they do not.
    """
    channels = vae["latent_channels"]
    for field, verb in (("in_channels", "takes"), ("out_channels", "gives")):
        if unet[field] != channels:
            raise ModelUnavailableError(
                f"the UNet {verb} {unet[field]} channels and the VAE's latents have {channels}: "
                "one that takes more, to inpaint or to be told of depth, is not served"
            )
    widths = _text_widths(unet)
    if widths != {text_encoder.hidden_size}:
        raise ModelUnavailableError(
            f"the UNet reads texts as states of {', '.join(map(str, sorted(widths)))} numbers, "
            f"and the text encoder's have {text_encoder.hidden_size}"
        )
    for field, verb in _VAE.items():
        if vae.get(field):
            raise ModelUnavailableError(f"the VAE {verb} its latents ({field}), which is not served")
    if vae["out_channels"] != 3:
        raise ModelUnavailableError(f"the VAE makes pictures of {vae['out_channels']} channels, not of 3")


def _text_widths(unet: Any) -> set[int]:
    if unet.get("encoder_hid_dim") is not None:
        return {unet["encoder_hid_dim"]}
    width = unet["cross_attention_dim"]
    return {width} if isinstance(width, int) else set(width)


def require_vocabulary(tokenizer: Any, tokens: int) -> None:
    """Refuse a tokenizer that knows tokens for which the text encoder's table has no row.

    Args:
        tokenizer: of transformers.
        tokens: rows of the table.

    Raises:
        ModelUnavailableError: it does.
    """
    highest = max(tokenizer.get_vocab().values())
    if highest >= tokens:
        raise ModelUnavailableError(
            f"the tokenizer numbers its tokens up to {highest}, and the text encoder knows {tokens}"
        )


def require_schedule(scheduler: Mapping[str, Any]) -> None:
    """Refuse the configuration of a scheduler whose noise or predictions are of a kind that no solver knows.

    Raises:
        ModelUnavailableError: it is one.
    """
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelUnavailableError(
            f"the scheduler's prediction_type is {prediction!r}; known are {', '.join(PREDICTIONS)}"
        )
    if "beta_schedule" not in scheduler or scheduler.get("use_flow_sigmas"):
        raise ModelUnavailableError("the scheduler plans no diffusion by betas, which is what is served")
