"""A UNet whose embedding of the time has another width than its first level.

diffusers makes the two equal. Published networks of 512 px have a first level of half the width (Crowson 2021), so
the field below stands beside the others in their configuration.
"""

from typing import cast

from diffusers import UNet2DModel
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

TIME_WIDTH = "time_width"
GROWTH = 4  # from the sinusoids to the embedding


def with_time_width(unet: UNet2DModel, width: int | None) -> UNet2DModel:
    """Give a UNet without weights an embedding of another width, in place.

    Args:
        unet: as its configuration has it.
        width: of the sinusoids; None leaves them as wide as the first level.
    """
    config = unet.config
    if width is None or width == config.block_out_channels[0]:
        return unet
    unet.time_proj = Timesteps(width, config.flip_sin_to_cos, config.freq_shift)
    unet.time_embedding = TimestepEmbedding(width, GROWTH * width)
    for part in unet.modules():
        if isinstance(part, ResnetBlock2D):
            given = cast("nn.Linear", part.time_emb_proj).out_features
            part.time_emb_proj = nn.Linear(GROWTH * width, given)
    return unet
