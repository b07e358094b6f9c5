"""A UNet of SDXL's kind that starts as the one that it is made of."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.variants.delta import layout_of
from training.xl.beginning import (
    READS_TEXT,
    SIZE_IDS,
    SIZE_UNITS,
    base,
    begin_embedding,
    empty,
    fit_embedding,
    linear_fit,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_linear_map_is_found_again() -> None:
    matrix = _random(5, 8)
    inputs = _random(400, 8, seed=1)
    assert torch.allclose(linear_fit(inputs, inputs @ matrix.T), matrix, atol=1e-3)


def test_the_layers_that_are_others_than_pocket_s_are_those_that_read_texts_and_sizes() -> None:
    pocket = base()
    layout = layout_of(pocket, empty(pocket, context=384, pooled=192))
    assert all(READS_TEXT.fullmatch(name) for name in layout.replaced)
    assert len(layout.replaced) == 8
    layers = ("linear_1", "linear_2")
    assert set(layout.added) == {
        f"add_embedding.{layer}.{name}" for layer in layers for name in ("weight", "bias")
    }
    assert {name.split(".")[0] for name in layout.dropped} == {"encoder_hid_proj", "add_embedding"}
    assert not set(layout.added) & set(layout.dropped)


def test_an_embedding_learns_what_another_says_of_a_text_and_hears_no_size_yet() -> None:
    unet = empty(base(), context=384, pooled=192)
    assert isinstance(unet, UNet2DConditionModel)
    embedding, pooled = unet.add_embedding, _random(512, 192)
    wanted = torch.tanh(pooled @ _random(192, 384, seed=1) * 0.05)
    torch.manual_seed(0)
    begin_embedding(embedding, pooled)
    assert fit_embedding(embedding, pooled, wanted, steps=200) < 0.3
    sizes = _random(512, SIZE_IDS * 32, seed=2)
    with torch.no_grad():
        heard = embedding(torch.cat([pooled, sizes], dim=1))
        silent = embedding(torch.cat([pooled, torch.zeros_like(sizes)], dim=1))
    assert torch.allclose(heard, silent)
    assert (heard - wanted).square().mean() < 0.3 * wanted.var()
    assert embedding.linear_1.weight[-SIZE_UNITS:, 192:].std() > 0
