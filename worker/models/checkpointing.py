"""Activation checkpointing (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016) of a VAE's decoder.

Diffusers checkpoints whole blocks, and a decoder's last block takes most of its memory: computed again as one piece, it
is the peak. Here every part of a block is a piece, at the same cost: each activation is computed twice.
"""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch.utils.checkpoint import checkpoint


def _checkpointed(kind: Any) -> type[nn.Module]:
    """The same module, computing its activations again when gradients need them."""

    def forward(self: nn.Module, *inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return kind.forward(self, *inputs, **options)
        # Nothing in a frozen decoder is random, so there is no state to keep for the second time.
        return checkpoint(
            kind.forward, self, *inputs, use_reentrant=False, preserve_rng_state=False, **options
        )

    return type(kind.__name__, (kind,), {"forward": forward})


PARTS = {kind: _checkpointed(kind) for kind in (ResnetBlock2D, Attention, Upsample2D)}
PLAIN = {checkpointed: kind for kind, checkpointed in PARTS.items()}


def checkpoint_activations(network: nn.Module, *, enabled: bool = True) -> None:
    """Make the parts of a network keep nothing for the way back but their inputs, or everything again.

    It changes their class, not their ``forward``: a module that refers to itself would outlive its last user.
    """
    classes: dict[Any, Any] = PARTS if enabled else PLAIN
    for part in network.modules():
        part.__class__ = classes.get(type(part), type(part))
