"""Activations computed twice: the same numbers from less memory."""

import gc
import weakref

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from worker.models.checkpointing import checkpoint_activations


@pytest.fixture
def decoder() -> nn.Module:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(16, 32),
        up_block_types=("UpDecoderBlock2D",) * 2,
        down_block_types=("DownEncoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
    )
    network: nn.Module = vae.eval().requires_grad_(False).decoder
    return network


def decoded(decoder: nn.Module) -> tuple[Tensor, Tensor, int]:
    """A picture, the gradient of its sum of squares, and how many bytes were kept for it."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        picture = decoder(latents)
    total = sum(kept.values())
    (gradient,) = torch.autograd.grad(picture.square().sum(), latents)
    return picture.detach(), gradient, total


def test_it_gives_the_same_numbers_from_half_the_memory(decoder: nn.Module) -> None:
    picture, gradient, whole = decoded(decoder)
    checkpoint_activations(decoder)
    assert torch.equal(decoded(decoder)[0], picture)
    assert torch.equal(decoded(decoder)[1], gradient)
    assert decoded(decoder)[2] < whole / 2


def test_it_may_be_asked_twice_and_taken_back(decoder: nn.Module) -> None:
    kinds = [type(part) for part in decoder.modules()]
    whole = decoded(decoder)[2]
    checkpoint_activations(decoder)
    once = decoded(decoder)[2]
    checkpoint_activations(decoder)
    assert decoded(decoder)[2] == once
    checkpoint_activations(decoder, enabled=False)
    assert ([type(part) for part in decoder.modules()], decoded(decoder)[2]) == (kinds, whole)


def test_a_decoder_is_gone_with_its_last_user(decoder: nn.Module) -> None:
    part = weakref.ref(decoder.mid_block)
    checkpoint_activations(decoder)
    state = decoder.state_dict()
    gc.disable()
    try:
        decoder.mid_block = nn.Identity()
        assert part() is None
    finally:
        gc.enable()
    assert any(name.startswith("mid_block") for name in state)
