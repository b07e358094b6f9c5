"""Each attention gets the kernel that serves it, by trial."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0, XFormersAttnProcessor
from torch import Tensor

from tests.worker.models.networks.test_decoding import tiny_vae
from tests.worker.models.networks.tiny import tiny_unet
from worker.models.device import Device
from worker.models.networks import attention
from worker.models.networks.attention import Kernel, choose_attention, sdpa
from worker.settings import WorkerSettings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "TOKENS", 64)


def attentions(network: Any) -> list[Attention]:
    return [part for part in network.modules() if isinstance(part, Attention)]


def users(network: Any) -> list[Attention]:
    """The attentions that use xformers."""
    return [part for part in attentions(network) if isinstance(part.processor, XFormersAttnProcessor)]


def choose(network: Any, kernel: Kernel | None, *, by_speed: bool = False) -> int:
    return choose_attention(network, kernel, CPU, torch.float32, by_speed=by_speed)


def without_wide_heads(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if query.shape[-1] > 4:
        raise NotImplementedError("No operator found for `memory_efficient_attention_forward`")
    return sdpa(query, key, value)


class OneWay(torch.autograd.Function):
    """Attention without a way back."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        return sdpa(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise NotImplementedError("No operator found for `memory_efficient_attention_backward`")


def slow(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    for _ in range(30):
        output = sdpa(query, key, value)
    return output


def test_a_kernel_that_serves_every_attention_is_used_by_all() -> None:
    unet = tiny_unet()
    assert choose(unet, sdpa) == len(users(unet)) == len(attentions(unet)) > 0


def test_heads_without_an_operator_use_pytorchs_attention() -> None:
    """Those of a UNet are narrow; the one head of a VAE is as wide as its channels."""
    unet, vae = tiny_unet(), tiny_vae()
    assert choose(unet, without_wide_heads) == len(attentions(unet))
    assert choose(vae, without_wide_heads) == 0
    assert all(isinstance(part.processor, AttnProcessor2_0) for part in attentions(vae))


def test_a_kernel_that_serves_self_attention_alone_is_used_for_that() -> None:
    def one_length(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if query.shape[1] != key.shape[1]:
            raise ValueError("lengths differ")
        return sdpa(query, key, value)

    unet = tiny_unet()
    assert 0 < choose(unet, one_length) < len(attentions(unet))
    assert not any(part.is_cross_attention for part in users(unet))


def test_a_kernel_without_a_way_back_is_not_used() -> None:
    assert choose(tiny_unet(), OneWay.apply) == 0


def test_a_kernel_that_is_wrong_is_not_used() -> None:
    assert choose(tiny_unet(), lambda query, key, value: sdpa(query, key, value) + 1) == 0


def test_a_slower_kernel_is_used_only_where_it_is_asked_for() -> None:
    assert choose(tiny_unet(), slow, by_speed=True) == 0
    assert choose(tiny_unet(), slow, by_speed=False) > 0


def test_without_a_kernel_every_attention_uses_pytorchs() -> None:
    unet = tiny_unet()
    choose(unet, sdpa)
    assert choose(unet, None) == 0
    assert users(unet) == []


def test_each_kind_of_attention_is_tried_once() -> None:
    tried: list[tuple[int, ...]] = []

    def noting(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        tried.append((*query.shape, key.shape[1]))
        return sdpa(query, key, value)

    unet = tiny_unet()
    choose(unet, noting)
    kinds = {(part.heads, part.inner_dim, part.is_cross_attention) for part in attentions(unet)}
    assert len(set(tried)) == len(kinds) < len(attentions(unet))
    assert len(tried) == len(kinds) * (1 + attention.TRIALS)


def test_a_cpu_uses_pytorchs_attention_and_changes_nothing() -> None:
    device, unet = Device(WorkerSettings(device="cpu")), tiny_unet()
    before = [part.processor for part in attentions(unet)]
    device.choose_attention(unet)
    assert device.attention == "sdpa"
    assert [part.processor for part in attentions(unet)] == before
