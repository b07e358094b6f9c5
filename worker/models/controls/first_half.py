"""The first half of a UNet: what a ControlNet is a copy of."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

# Parts of a UNet behind its middle.
_SECOND_HALF = ("up_blocks", "conv_norm_out", "conv_act", "conv_out")


class FirstHalf(nn.Module):
    """The first half of a UNet, with its embeddings of time and text and its projection of the text.

    Its layers are copies that share their weights with the UNet's, by the UNet's names of them.
    """

    def __init__(self, unet: nn.Module, channels: int) -> None:
        """Copy no weights.

        Args:
            unet: a ``UNet2DConditionModel``.
            channels: of the latents; the UNet may read others after them.
        """
        super().__init__()
        shared: dict[int, Any] = {id(tensor): tensor for tensor in (*unet.parameters(), *unet.buffers())}
        self.unet: Any = copy.deepcopy(unet, shared)
        for part in _SECOND_HALF:
            delattr(self.unet, part)
        first: Any = self.unet.conv_in
        if first.in_channels != channels:
            first.weight = nn.Parameter(first.weight[:, :channels].contiguous(), requires_grad=False)
            first.in_channels = channels

    @property
    def widths(self) -> list[int]:
        """Channels of each skip, and then of the middle."""
        widths = [self.unet.conv_in.out_channels]
        for block in self.unet.down_blocks:
            widths += [resnet.out_channels for resnet in block.resnets]
            widths += [sampler.out_channels for sampler in block.downsamplers or ()]
        return [*widths, widths[-1]]

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        context: Tensor,
        encoded: Tensor,
        added: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """Each skip, and then what comes out of the middle, each [B, c, h, w].

        Args:
            latents: [B, C, h, w].
            timesteps: [B].
            context: [B, L, D].
            encoded: maps as encoded, [B, c, h, w].
            added: what SDXL is told besides, by diffusers' names, each [B, ...].
        """
        unet, told = self.unet, {"encoder_hidden_states": context, "added_cond_kwargs": added or {}}
        emb = unet.time_embedding(unet.get_time_embed(sample=latents, timestep=timesteps))
        embedded = unet.get_aug_embed(emb=emb, **told)
        emb = emb if embedded is None else emb + embedded
        emb = emb if unet.time_embed_act is None else unet.time_embed_act(emb)
        text = {"encoder_hidden_states": unet.process_encoder_hidden_states(**told)}
        sample = unet.conv_in(latents) + encoded
        skips = (sample,)
        for block in unet.down_blocks:
            sample, states = block(hidden_states=sample, temb=emb, **(text if _attends(block) else {}))
            skips += states
        if unet.mid_block is not None:
            sample = unet.mid_block(sample, emb, **(text if _attends(unet.mid_block) else {}))
        return (*skips, sample)


def _attends(block: Any) -> bool:
    """Whether a block reads the text."""
    return bool(getattr(block, "has_cross_attention", False))
