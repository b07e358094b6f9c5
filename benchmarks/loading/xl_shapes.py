"""The shapes of SDXL's networks."""

from dataclasses import replace
from typing import Any

from benchmarks.methods.models import Shapes

_UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
}
_SMALL: dict[str, Any] = {
    "block_out_channels": (32, 32, 64),
    "attention_head_dim": (2, 2, 4),
    "transformer_layers_per_block": 1,
}
_TEXT: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}


def xl(base: Shapes, *, is_full: bool) -> Shapes:
    """Those of SDXL, with the VAE and the first text encoder of SD 1.5, for pictures of twice the size.

    Args:
        base: the shapes of SD 1.5.
        is_full: whether these are of the published size; otherwise the others are small too.
    """
    return replace(
        base,
        unet=base.unet | _UNET | ({} if is_full else _SMALL),
        vae=base.vae | {"scaling_factor": 0.13025, "sample_size": 1024, "force_upcast": True},
        text=base.text | ({} if is_full else {"num_hidden_layers": 2}),
        second_text=_TEXT | ({} if is_full else {"num_hidden_layers": 2}),
        px=2 * base.px,
    )
