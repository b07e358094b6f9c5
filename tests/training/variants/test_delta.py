"""A low-rank delta against the UNet that it stands for."""

from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from training.variants.delta import Layout, adapt, export, layout_of, materialize, widen
from worker.models.adapters.delta import WEIGHTS, A, B, read_card
from worker.models.adapters.files import UNET

RANK = 4
REPLACED = ["conv_in.weight"]


def _base() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()


def _learned(base: UNet2DConditionModel) -> UNet2DConditionModel:
    """A variant of nine channels whose trained tensors are what training could have made of them, in fp16's grid."""
    variant = deepcopy(base)
    widen(variant, 9)
    adapt(variant, RANK, REPLACED)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in variant.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.1)
                parameter.copy_(parameter.half())
        for parameter in variant.conv_in.parametrizations.weight.parameters():
            parameter.copy_((parameter * 256).round() / 256)  # so that their sum is in the grid too
    return variant


def _export(
    variant: UNet2DConditionModel, folder: Path, rank: int = RANK, layout: Layout | None = None
) -> None:
    base = folder.parent / "tiny"
    (base / UNET).mkdir(parents=True)
    (base / UNET / "diffusion_pytorch_model.safetensors").write_bytes(b"the base")
    if layout is None:
        export(variant, folder, base, rank, REPLACED)
    else:
        export(variant, folder, base, rank, (), layout)


def _inputs(channels: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(2, channels, 8, 8, generator=rng)
    return x, torch.tensor([10, 900]), torch.randn(2, 5, 12, generator=rng)


def _beside(base: UNet2DConditionModel, variant: UNet2DConditionModel) -> UNet2DConditionModel:
    """The base with each delta computed beside its layer, unmerged, as LoRA's equation 3 has it."""
    plain = deepcopy(base)
    widen(plain, 9)
    with torch.no_grad():
        plain.conv_in.weight.copy_(variant.conv_in.weight)

    def with_delta(inner: nn.Linear | nn.Conv2d, a: Tensor, b: Tensor) -> Callable[[Tensor], Tensor]:
        own = inner.forward

        def forward(x: Tensor) -> Tensor:
            if isinstance(inner, nn.Linear):
                return own(x) + x @ a.T @ b.T
            down = nn.functional.conv2d(x, a, stride=inner.stride, padding=inner.padding)
            return own(x) + nn.functional.conv2d(down, b)

        return forward

    for name, module in variant.named_modules():
        if parametrize.is_parametrized(module, "weight") and name != "conv_in":
            delta, inner = module.parametrizations.weight[0], plain.get_submodule(name)
            inner.forward = with_delta(inner, delta.lora_A, delta.lora_B)
    return plain


def test_a_widened_unet_answers_as_before_whatever_the_new_channels_hold() -> None:
    base = _base()
    variant = deepcopy(base)
    widen(variant, 9)
    adapt(variant, RANK, REPLACED)
    x, t, context = _inputs(9)
    with torch.no_grad():
        assert torch.allclose(variant(x, t, context).sample, base(x[:, :4], t, context).sample, atol=1e-6)


def test_only_the_delta_and_the_replaced_tensors_learn_and_all_of_them_do() -> None:
    variant = _learned(_base())
    variant(*_inputs(9)).sample.square().sum().backward()
    moved = {name for name, parameter in variant.named_parameters() if parameter.grad is not None}
    layers = [name for name, module in variant.named_modules() if parametrize.is_parametrized(module)]
    layers.remove("conv_in")
    factors = {f"{name}.parametrizations.weight.0.lora_{which}" for name in layers for which in "AB"}
    assert moved == factors | {"conv_in.parametrizations.weight.0.change"}
    plain = [module for module in _base().modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert len(layers) == len(plain) - 1


def test_the_merged_unet_answers_as_the_base_with_its_deltas_beside_the_layers(tmp_path: Path) -> None:
    base = _base()
    variant = _learned(base)
    _export(variant, tmp_path / "v")
    merged = materialize(base, tmp_path / "v")
    inputs = _inputs(9)
    with torch.no_grad():
        expected = _beside(base, variant)(*inputs).sample
        assert (merged(*inputs).sample - expected).abs().max() < 1e-5
        assert (variant(*inputs).sample - expected).abs().max() < 1e-5
        before = base(inputs[0][:, :4], *inputs[1:]).sample
    assert (expected - before).abs().max() > 0.1
    assert type(merged) is UNet2DConditionModel
    assert merged.config.in_channels == 9
    assert not any(parametrize.is_parametrized(module) for module in merged.modules())


def test_a_delta_leaves_its_base_as_it_is(tmp_path: Path) -> None:
    base = _base()
    before = deepcopy(base.state_dict())
    _export(_learned(base), tmp_path / "v")
    materialize(base, tmp_path / "v")
    assert all(torch.equal(before[name], tensor) for name, tensor in base.state_dict().items())


def test_a_file_holds_the_factors_under_pefts_names_and_is_a_fraction_of_the_base(tmp_path: Path) -> None:
    base = _base()
    _export(_learned(base), tmp_path / "v", 1)
    delta = load_file(tmp_path / "v" / WEIGHTS)
    layer = "mid_block.resnets.0.conv1"
    assert delta[layer + A].shape == (RANK, 16, 3, 3)
    assert delta[layer + B].shape == (16, RANK, 1, 1)
    assert {tensor.dtype for tensor in delta.values()} == {torch.float16}
    numbers = sum(tensor.numel() for tensor in delta.values())
    assert (tmp_path / "v" / WEIGHTS).stat().st_size < 2 * numbers + 200 * len(delta)
    assert numbers < 0.8 * base.num_parameters()


def _spoil(folder: Path, name: str, tensor: Tensor) -> None:
    save_file(load_file(folder / WEIGHTS) | {name: tensor}, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("mid_block.unheard_of.weight", (3, 3), "unheard_of"),
        (f"mid_block.resnets.0.conv1{B}", (12, RANK, 1, 1), r"mid_block.resnets.0.conv1.*12"),
    ],
)
def test_a_tensor_that_does_not_fit_the_base_is_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], said: str
) -> None:
    base = _base()
    _export(_learned(base), tmp_path / "v")
    _spoil(tmp_path / "v", name, torch.zeros(shape, dtype=torch.float16))
    with pytest.raises(ValueError, match=said):
        materialize(base, tmp_path / "v")


def test_a_delta_of_another_base_is_refused(tmp_path: Path) -> None:
    _export(_learned(_base()), tmp_path / "v")
    other = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8,),
        layers_per_block=1,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    with pytest.raises(ValueError, match="no layer of the base"):
        materialize(other, tmp_path / "v")


def _told_sizes(base: UNet2DConditionModel) -> UNet2DConditionModel:
    """A variant that reads wider texts and is told sizes: SDXL's kind."""
    config = dict(base.config) | {
        "_use_default_values": [],
        "cross_attention_dim": 20,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 6 + 6 * 4,
    }
    variant: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    fresh, own = variant.state_dict(), base.state_dict()
    shared = {
        name: own[name] for name, tensor in fresh.items() if name in own and own[name].shape == tensor.shape
    }
    variant.load_state_dict(fresh | shared)
    return variant.eval()


def test_a_variant_of_other_layers_is_written_and_merged_as_it_is(tmp_path: Path) -> None:
    base = _base()
    base.register_to_config(_name_or_path="/somewhere")
    variant = _told_sizes(base)
    layout = layout_of(base, variant)
    assert {name.rpartition(".attn2.")[2] for name in layout.replaced} == {"to_k.weight", "to_v.weight"}
    assert {name.split(".")[0] for name in layout.added} == {"add_embedding"}
    assert layout.dropped == ()
    adapt(variant, RANK, (), layout.layers)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in variant.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.1)
                parameter.copy_(parameter.half())
    _export(variant, tmp_path / "v", layout=layout)
    merged = materialize(base, tmp_path / "v")
    rng = torch.Generator().manual_seed(2)
    x, context = torch.randn(2, 4, 8, 8, generator=rng), torch.randn(2, 5, 20, generator=rng)
    told = {"text_embeds": torch.randn(2, 6, generator=rng), "time_ids": torch.arange(12.0).view(2, 6)}
    with torch.no_grad():
        one, other = (
            unet(x, torch.tensor([10, 900]), context, added_cond_kwargs=told).sample
            for unet in (merged, variant)
        )
    assert torch.allclose(one, other, atol=1e-5)
    assert "_name_or_path" not in (tmp_path / "v" / UNET / "config.json").read_text()
    assert read_card(tmp_path / "v").added == layout.added


def test_layers_that_are_free_learn_with_their_biases_and_have_no_factors() -> None:
    variant = _told_sizes(_base())
    adapt(variant, RANK, (), {"add_embedding.linear_1"})
    layer = variant.add_embedding.linear_1
    assert not parametrize.is_parametrized(layer)
    assert layer.weight.requires_grad
    assert layer.bias.requires_grad
    assert parametrize.is_parametrized(variant.add_embedding.linear_2)
    assert not variant.add_embedding.linear_2.bias.requires_grad


def test_the_card_names_base_rank_and_replaced_tensors(tmp_path: Path) -> None:
    _export(_learned(_base()), tmp_path / "v")
    card = read_card(tmp_path / "v")
    assert (card.base, card.rank, card.replaced) == ("tiny", 4, ("conv_in.weight",))
    assert card.base_sha256 == sha256(b"the base").hexdigest()
