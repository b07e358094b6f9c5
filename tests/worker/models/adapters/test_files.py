"""Adapters of every format are the same adapter; files of other kinds and of other models are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from jobs.catalog.adapters import AdapterCard
from jobs.errors import ModelUnavailableError
from tests.worker.models.adapters import writing
from worker.models.adapters.factors import Adapter, Factors
from worker.models.adapters.files import MAX_RANK, Scaling
from worker.models.adapters.fitting import fitted, require_parts
from worker.models.adapters.loading import load_adapter
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
FACTORS = {"lora_unet_a.lora_down.weight": (2, 4), "lora_unet_a.lora_up.weight": (3, 2)}
FORMATS: dict[str, Callable[[writing.Draft, Path], Path]] = {
    "kohya": writing.kohya,
    "diffusers": writing.peft,
    "diffusers, long names": lambda draft, file: writing.peft(draft, file, long=True),
    "old diffusers": writing.old,
}


def load(path: Path) -> Adapter:
    return load_adapter(AdapterCard(id="a", path=path), CPU, Digests())


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_same_adapter(
    name: str, drafts: dict[str, writing.Draft], adapted: ModelRegistry, tmp_path: Path
) -> None:
    loaded = load(FORMATS[name](drafts["attention"], tmp_path / "a.safetensors"))
    model = adapted.diffusion("tiny")
    for part, network in (("unet", model.networks[1]), ("text_encoder", model.networks[0])):
        own, drawn = fitted(loaded, part, network).layers, drafts["attention"][part]
        assert own.keys() == drawn.keys()
        for layer, factors in own.items():
            expected = (
                drawn[layer].up.flatten(1) @ drawn[layer].down.flatten(1) * writing.ALPHA / writing.RANK
            )
            assert torch.allclose(factors.product.flatten(1), expected, atol=1e-7)


@pytest.mark.parametrize("name", ["kohya", "diffusers"])
def test_every_format_has_the_same_magnitudes(
    name: str, drafts: dict[str, writing.Draft], tmp_path: Path
) -> None:
    parts = load(FORMATS[name](drafts["dora"], tmp_path / "a.safetensors")).parts
    for part, layers in drafts["dora"].items():
        for layer, drawn in layers.items():
            magnitude = parts[part][layer.removeprefix("text_model.").replace(".", "_")].magnitude
            assert magnitude is not None
            assert drawn.magnitude is not None
            assert torch.equal(magnitude, drawn.magnitude)


def test_a_folder_of_peft_is_read_with_its_configuration(
    drafts: dict[str, writing.Draft], tmp_path: Path
) -> None:
    layers = load(writing.folder(drafts["unet"], tmp_path / "a")).parts["unet"]
    name, drawn = next(iter(drafts["unet"]["unet"].items()))
    expected = drawn.up.flatten(1) * writing.ALPHA / writing.RANK
    assert torch.allclose(layers[name.replace(".", "_")].up, expected)


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({}, 1.0),
        ({"lora_alpha": 8}, 2.0),
        ({"lora_alpha": 8, "use_rslora": True}, 4.0),
        ({"lora_alpha": 8, "alpha_pattern": {"to_k": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"to": 2}}, 2.0),
    ],
)
def test_the_scale_is_that_of_the_configuration(config: dict[str, object], factor: float) -> None:
    assert Scaling.of(config).factor("mid.attn1.to_k", 4, None) == factor


def test_an_alpha_in_the_file_counts_before_the_configuration() -> None:
    assert Scaling.of({"lora_alpha": 8}).factor("x", 4, 1.0) == 0.25


def test_three_factors_of_a_convolution_make_two(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    down, mid, up = (
        torch.randn(shape, generator=rng) for shape in ((2, 8, 1, 1), (2, 2, 3, 3), (6, 2, 1, 1))
    )
    key = "lora_unet_conv"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid, f"{key}.lora_up.weight": up}
    save_file(tensors, tmp_path / "a.safetensors")
    layers = [
        nn.Conv2d(8, 2, 1, bias=False),
        nn.Conv2d(2, 2, 3, padding=1, bias=False),
        nn.Conv2d(2, 6, 1, bias=False),
    ]
    for layer, weight in zip(layers, (down, mid, up), strict=True):
        layer.weight = nn.Parameter(weight)
    x = torch.randn(1, 8, 5, 5, generator=rng)
    product = load(tmp_path / "a.safetensors").parts["unet"]["conv"].product
    assert torch.allclose(nn.functional.conv2d(x, product, padding=1), nn.Sequential(*layers)(x), atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"lora_unet_a.lora_down.weight": (2, 4)}, "only one of its two factors"),
        (
            {"lora_unet_a.lora_down.weight": (2, 4), "lora_unet_a.lora_up.weight": (4, 3)},
            "both have the same",
        ),
        (
            {"unet.a.lora_A.weight": (MAX_RANK + 1, 4), "unet.a.lora_B.weight": (4, MAX_RANK + 1)},
            f"from 1 to {MAX_RANK}",
        ),
        ({"lora_unet_a.hada_w1_a": (2, 4)}, "LoHa"),
        ({**FACTORS, "lora_unet_a.dora_scale": (1, 4)}, "magnitudes of inputs, which are not served"),
        ({**FACTORS, "lora_unet_a.lora_magnitude_vector": (4,)}, "are .4.: 3 positive numbers are due"),
        ({"transformer.a.lora_A.weight": (2, 4)}, "of a transformer"),
        ({"model.weight": (2, 4)}, "not a LoRA: it has model.weight"),
        ({}, "it is empty"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    keys: dict[str, tuple[int, ...]], reason: str, tmp_path: Path
) -> None:
    save_file({key: torch.ones(shape) for key, shape in keys.items()}, tmp_path / "a.safetensors")
    with pytest.raises(ModelUnavailableError, match=f"adapter a: .*{reason}"):
        load(tmp_path / "a.safetensors")


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    for name, reason in (
        ("a.pt", "can run code"),
        ("missing.safetensors", "does not exist"),
        (".", "does not exist"),
    ):
        (tmp_path / "a.pt").touch()
        with pytest.raises(ModelUnavailableError, match=reason):
            load(tmp_path / name)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors = {
        "unet.a.lora_A.weight": torch.full((2, 4), torch.nan),
        "unet.a.lora_B.weight": torch.ones(4, 2),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelUnavailableError, match="not finite"):
        load(tmp_path / "a.safetensors")


def made(shapes: dict[str, tuple[int, int]]) -> Adapter:
    """An adapter of rank 2, from the ins and outs of layers."""
    parts = {
        "unet": {
            name: Factors(torch.ones(2, ins), torch.ones(outs, 2)) for name, (ins, outs) in shapes.items()
        }
    }
    return Adapter("a", "0", parts)


def test_an_adapter_of_a_network_that_a_model_lacks_is_refused_by_its_name() -> None:
    second = Adapter("a", "0", {"text_encoder_2": {"q": Factors(torch.ones(2, 4), torch.ones(4, 2))}})
    with pytest.raises(ModelUnavailableError, match="it changes text_encoder_2, which this model lacks"):
        require_parts(second, {"unet", "text_encoder"})
    require_parts(second, {"unet", "text_encoder", "text_encoder_2"})


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.out_0 = nn.Linear(4, 3), nn.Linear(3, 4)
        self.conv_in = nn.Conv2d(5, 3, 1)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"to_k": (4, 3)}, "1 are missing .to_k."),
        ({"to_q": (3, 4)}, "1 have another shape .to_q."),
        (
            {"to_q": (4, 3), "to_k": (1, 1), "out_0": (9, 9)},
            "1 are missing .to_k. and 1 have another shape .out_0.",
        ),
    ],
)
def test_an_adapter_of_another_model_is_refused_by_what_does_not_fit(
    shapes: dict[str, tuple[int, int]], reason: str
) -> None:
    with pytest.raises(ModelUnavailableError, match=reason):
        fitted(made(shapes), "unet", Network())


def test_a_layer_that_reads_more_channels_reads_the_others_as_before() -> None:
    factors = fitted(made({"conv_in": (4, 3)}), "unet", Network()).layers["conv_in"]
    assert factors.product.shape == (3, 5, 1, 1)
    assert bool((factors.product[:, 4] == 0).all())
    assert bool((factors.product[:, :4] == 2).all())
