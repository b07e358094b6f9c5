"""A ControlNet that starts as a copy of pocket's first half (Zhang, Rao & Agrawala 2023, section 3.1).

diffusers' ``ControlNetModel`` differs from its UNet in two places, so ``from_unet`` cannot copy this one: it does not
project the text's states, and its embedding of time is 256 wide where pocket's is 384. The projection is merged into
the attentions, which is exact; what reads the embedding is fitted.
"""

from typing import cast

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

# The hint's encoder halves a map twice, as pocket's latents are a fourth of its pictures.
HINT_CHANNELS = (16, 32, 64)
RIDGE = 1e-4
TIMES = 8
_COPIED = (
    "in_channels",
    "flip_sin_to_cos",
    "freq_shift",
    "down_block_types",
    "block_out_channels",
    "layers_per_block",
    "downsample_padding",
    "act_fn",
    "norm_num_groups",
    "norm_eps",
    "cross_attention_dim",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "attention_head_dim",
    "addition_embed_type",
    "addition_embed_type_num_heads",
    "resnet_time_scale_shift",
)


@torch.no_grad()
def control_of(unet: UNet2DConditionModel, states: Tensor) -> ControlNetModel:
    """A ControlNet whose residuals are zero.

    Args:
        unet: pocket's denoiser in fp32.
        states: of many captions [N, L, D], on which the narrower embedding is fitted.
    """
    config = {name: unet.config[name] for name in _COPIED}
    control = ControlNetModel(conditioning_embedding_out_channels=HINT_CHANNELS, **config)
    own, theirs = control.state_dict(), unet.state_dict()
    same = {
        name: tensor
        for name, tensor in theirs.items()
        if name.startswith(("conv_in", "down_blocks", "mid_block", "add_embedding", "encoder_hid_proj"))
        and own[name].shape == tensor.shape
    }
    control.load_state_dict(own | same)
    _merge_projection(control, unet.encoder_hid_proj)
    _fit_embedding(control, unet, states)
    return control


def _merge_projection(control: ControlNetModel, projection: nn.Linear) -> None:
    """Let attentions read unprojected states. A constant added to all keys changes no weight of theirs."""
    for name, module in control.named_modules():
        if name.endswith("attn2"):
            constant = module.to_v.weight @ projection.bias
            module.to_out[0].bias.add_(module.to_out[0].weight @ constant)
            for layer in (module.to_k, module.to_v):
                layer.weight.copy_(layer.weight @ projection.weight)


def _fit_embedding(control: ControlNetModel, unet: UNet2DConditionModel, states: Tensor) -> None:
    """Let the embedding be the first dimensions of the UNet's, and fit what each residual block reads of it."""
    width = control.time_embedding.linear_2.out_features
    text, wide_text = control.add_embedding, unet.add_embedding
    for narrow_layer, wide_layer in ((text.proj, wide_text.proj), (text.norm2, wide_text.norm2)):
        narrow_layer.weight.copy_(wide_layer.weight[:width])
        narrow_layer.bias.copy_(wide_layer.bias[:width])
    time, wide_time = control.time_embedding, unet.time_embedding
    time.linear_1.weight.copy_(wide_time.linear_1.weight[:width])
    time.linear_1.bias.copy_(wide_time.linear_1.bias[:width])
    waves = unet.time_proj(torch.arange(1000))
    _fit(time.linear_2, F.silu(time.linear_1(waves)), wide_time(waves)[:, :width])
    states = states.repeat(TIMES, 1, 1)
    timesteps = torch.randint(1000, (len(states),), generator=torch.Generator().manual_seed(0))
    wide, narrow = embedding(unet, timesteps, states), embedding(control, timesteps, states)
    for name, module in control.named_modules():
        if name.endswith("time_emb_proj"):
            _fit(module, F.silu(narrow), unet.get_submodule(name)(F.silu(wide)))


def _fit(layer: nn.Linear, inputs: Tensor, wanted: Tensor) -> None:
    """Ridge regression of outputs [N, out] on inputs [N, in]."""
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    gram = inputs.T @ inputs + RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    solution = torch.linalg.solve(gram, inputs.T @ wanted)
    layer.weight.copy_(solution[:-1].T)
    layer.bias.copy_(solution[-1])


def embedding(network: UNet2DConditionModel | ControlNetModel, timesteps: Tensor, states: Tensor) -> Tensor:
    """What a network tells its residual blocks of times [N] and texts [N, L, D]: [N, E]."""
    time = network.time_embedding(network.time_proj(timesteps))
    return cast("Tensor", time + network.add_embedding(states))
