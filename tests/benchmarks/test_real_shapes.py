"""The shapes that are called real are: their networks have as many parameters as the published ones."""

import pytest
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import Module
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from benchmarks.full_size import FULL
from benchmarks.real_shapes import kinds

# Of the UNet, the VAE and the text encoders, as counted in the released files.
PUBLISHED = {
    "sd-1.5": (859_520_964, 83_653_863, 123_060_480),
    "sd-2.1": (865_910_724, 83_653_863, 340_387_840),
    "sd-1.5-file": (859_520_964, 83_653_863, 123_060_480),
    "sdxl": (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
    "sd-1.5-edit": (859_532_484, 83_653_863, 123_060_480),
    "sd-1.5-inpainting": (859_535_364, 83_653_863, 123_060_480),
}


def size(network: Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_kind_has_the_parameters_of_the_released_model(name: str) -> None:
    shapes = kinds(FULL)[name].shapes
    with init_empty_weights():
        networks: list[Module] = [
            UNet2DConditionModel(**shapes.unet),
            AutoencoderKL(**shapes.vae),
            CLIPTextModel(CLIPTextConfig(**shapes.text)),
        ]
        if shapes.second_text is not None:
            networks.append(CLIPTextModelWithProjection(CLIPTextConfig(**shapes.second_text)))
    assert tuple(size(network) for network in networks) == PUBLISHED[name]
