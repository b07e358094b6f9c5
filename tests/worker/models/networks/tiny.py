"""A UNet of Stable Diffusion's kind that is small enough to build in every test, and inputs for it."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn


class Output(nn.Module):
    """A UNet as a function of tensors, and how often it was run."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet, self.calls = unet, 0

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        self.calls += 1
        output: Tensor = self.unet(x, t, context, return_dict=False)[0]
        return output


def tiny_unet() -> Output:
    """With random weights, frozen."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return Output(unet.eval().requires_grad_(False)).eval()


def inputs(rows: int, size: tuple[int, int] = (8, 8), length: int = 5) -> tuple[Tensor, ...]:
    """Latents, timesteps and contexts for it."""
    rng = torch.Generator().manual_seed(rows)
    context = torch.randn(rows, length, 12, generator=rng)
    return torch.randn(rows, 4, *size, generator=rng), torch.randint(0, 1000, (rows,), generator=rng), context
