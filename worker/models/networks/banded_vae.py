"""A VAE on pictures that its device has no room to decode or encode in one pass.

The part of an autoencoder that works at the size of the latents is run whole: it has the attention, and is small. What
takes the memory is the way from there to the pixels, which has nothing but convolutions and group norms, and is run in
bands (``bands.py``). So the picture is that of one pass, up to rounding: no seams, and no tile that has a mean and a
variance of its own. It takes longer, by the copies of the maps.
"""

from collections.abc import Iterable
from typing import Any

from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D, UpDecoderBlock2D
from torch import Tensor, nn

from worker.models.networks.bands import Bands


def is_banded(vae: Any) -> bool:
    """Whether a VAE consists of the blocks that are known here, as those of Stable Diffusion do."""
    coders, kinds = (vae.encoder, vae.decoder), (DownEncoderBlock2D, UpDecoderBlock2D)
    blocks = (*vae.encoder.down_blocks, *vae.decoder.up_blocks)
    return (
        all(isinstance(block, kinds) for block in blocks)
        and all(isinstance(coder.conv_norm_out, nn.GroupNorm) for coder in coders)
        and all(isinstance(coder.conv_act, nn.SiLU) for coder in coders)
        and all(_is_plain(resnet) for block in blocks for resnet in block.resnets)
    )


def _is_plain(resnet: Any) -> bool:
    return (
        isinstance(resnet, ResnetBlock2D)
        and isinstance(resnet.nonlinearity, nn.SiLU)
        and resnet.time_emb_proj is None
        and resnet.output_scale_factor == 1
    )


def decode_in_bands(vae: Any, latents: Tensor, bands: Bands) -> Tensor:
    """Latents [1, C, h, w] on the device, as the VAE reads them, to a picture [1, 3, H, W] at home."""
    decoder = vae.decoder
    if vae.post_quant_conv is not None:
        latents = vae.post_quant_conv(latents)
    x = decoder.mid_block(decoder.conv_in(latents)).to(bands.home)
    for block in decoder.up_blocks:
        x = _resnets(block.resnets, x, bands)
        for sampler in block.upsamplers or ():
            x = bands.enlarged(x, sampler.conv)
    return bands.convolved(x, decoder.conv_out, bands.normalised(x, decoder.conv_norm_out))


def encode_in_bands(vae: Any, pictures: Tensor, bands: Bands) -> Tensor:
    """A picture [1, 3, H, W] in [-1, 1] to the moments [1, 2 C, h, w] of its latents, on the device."""
    encoder = vae.encoder
    x = bands.convolved(pictures.to(bands.home), encoder.conv_in)
    for block in encoder.down_blocks:
        x = _resnets(block.resnets, x, bands)
        for sampler in block.downsamplers or ():
            x = bands.halved(x, sampler.conv)
    x = encoder.mid_block(x.to(bands.device))
    x = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(x)))
    moments: Tensor = x if vae.quant_conv is None else vae.quant_conv(x)
    return moments


def _resnets(resnets: Iterable[Any], x: Tensor, bands: Bands) -> Tensor:
    """A map after some residual blocks; its own memory may be used for the result."""
    for resnet in resnets:
        inner = bands.convolved(x, resnet.conv1, bands.normalised(x, resnet.norm1))
        if resnet.conv_shortcut is not None:
            x = bands.convolved(x, resnet.conv_shortcut)
        bands.add_convolved(x, inner, resnet.conv2, bands.normalised(inner, resnet.norm2))
    return x
