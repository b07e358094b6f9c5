"""A model whose weights may also come as one file."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from tests.worker.models.variants import POCKET


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the pocket model around a UNet of Stable Diffusion 1's kind: files have no names for other kinds."""
    pipeline = StableDiffusionPipeline.from_pretrained(POCKET)
    stock = pipeline.unet.config
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=stock.sample_size,
        in_channels=stock.in_channels,
        out_channels=stock.out_channels,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=stock.cross_attention_dim,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    pipeline.register_modules(unet=unet)
    folder = tmp_path_factory.mktemp("models") / "plain"
    pipeline.save_pretrained(folder)
    return folder
