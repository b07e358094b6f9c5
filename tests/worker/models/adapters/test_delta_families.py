"""A delta whose variant is of another family than its base: what it brings, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from jobs.catalog.catalog import Catalog
from tests.worker.conftest import ROOT
from tests.worker.models.adapters.test_delta import change
from tests.worker.models.test_unfit import refusal
from tests.worker.models.variants import POCKET, copy_of_pocket, edit, rewrite
from training.variants.delta import materialize
from training.xl.texts import second_encoder
from worker.models.adapters.delta import CARD, WEIGHTS, read_card
from worker.models.adapters.trying import try_on
from worker.models.loading.files import parameters, weight_bytes
from worker.models.networks.keeping import Keeping
from worker.models.registry import ModelRegistry

SHIPPED = ROOT / "models" / "pocket-xl"
CLIP = "../pocket-m"


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A copy of the shipped one, beside a copy of its CLIP."""
    shutil.copytree(ROOT / "models" / "pocket-m", tmp_path / "pocket-m")
    return Path(shutil.copytree(SHIPPED, tmp_path / "delta"))


def refused(delta: Path) -> str:
    return refusal(POCKET, delta=delta, family="sdxl")


def changed(delta: Path, old: str, new: str) -> str:
    """The refusal of a delta whose card was changed."""
    text = (delta / CARD).read_text()
    assert old in text
    (delta / CARD).write_text(text.replace(old, new, 1))
    return refused(delta)


def test_its_networks_are_the_base_s_the_merged_one_and_the_clip_s_text_half(models: ModelRegistry) -> None:
    plain, xl = models.diffusion("pocket"), models.diffusion("pocket-xl")
    first, second, unet, vae = xl.networks
    assert first is plain.networks[0]
    assert vae is plain.networks[2]
    expected = second_encoder().state_dict()
    own = second.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())
    base = UNet2DConditionModel.from_pretrained(POCKET / "unet").float()
    merged = materialize(base, SHIPPED)
    assert unet.state_dict().keys() == merged.state_dict().keys()
    assert all(torch.equal(unet.state_dict()[name], tensor) for name, tensor in merged.state_dict().items())
    assert merged.config.addition_embed_type == "text_time"
    assert (xl.facts.row.size_ids, plain.facts.row.size_ids) == (6, 0)


def test_its_memory_is_foreseen_with_the_second_encoder(pocket_catalog: Catalog) -> None:
    xl, plain = pocket_catalog.model("pocket-xl"), pocket_catalog.model("pocket")
    second = sum(tensor.numel() for tensor in second_encoder().state_dict().values())
    assert parameters(xl) >= parameters(plain) + second
    assert weight_bytes(xl, 4, Keeping()) >= weight_bytes(plain, 4, Keeping()) + 4 * second


def test_adapters_are_tried_on_its_own_networks(pocket_catalog: Catalog) -> None:
    seen: dict[str, object] = {}
    try_on(pocket_catalog, ["pocket-xl"], lambda networks: seen.update(networks))
    assert set(seen) == {"text_encoder", "text_encoder_2", "unet", "vae"}


def test_another_clip_is_refused_though_its_shapes_are_the_same(delta: Path) -> None:
    (delta / CLIP / "open_clip_model.safetensors").unlink()
    shutil.copy(ROOT / "models/pocket-m-robust/open_clip_model.safetensors", delta / CLIP)
    assert "the delta delta was trained with the texts of a CLIP whose SHA-256 is" in refused(delta)


def test_a_clip_that_is_not_there_is_refused(delta: Path) -> None:
    said = changed(delta, CLIP, "../nowhere")
    assert "the delta delta reads texts with" in said
    assert "which does not exist" in said


def test_another_base_is_refused_though_its_shapes_are_the_same(delta: Path, tmp_path: Path) -> None:
    other = copy_of_pocket(tmp_path / "m", "unet")
    rewrite(other / "unet", lambda tensors: tensors | {"conv_out.bias": tensors["conv_out.bias"] + 1})
    assert "is of pocket, whose UNet has the SHA-256" in refusal(other, delta=delta, family="sdxl")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("add_embedding.linear_1.bias", "add_embedding.linear_3.bias", "linear_3.bias is to be added"),
        ("encoder_hid_proj.bias", "encoder_hid_proj.scale", "encoder_hid_proj.scale is to be dropped"),
        ('    "encoder_hid_proj.bias",\n', "", "1 unexpected: encoder_hid_proj.bias"),
        ("attn2.to_k.weight", "attn9.to_k.weight", "attn9.to_k.weight is to be replaced"),
        ('    "add_embedding.linear_1.bias",\n', "", "add_embedding.linear_1.bias belong to no layer"),
    ],
)
def test_a_card_that_says_otherwise_than_the_weights_is_refused(
    old: str, new: str, said: str, delta: Path
) -> None:
    assert said in changed(delta, old, new)


def test_a_tensor_of_another_shape_is_refused(delta: Path) -> None:
    change(delta, "add_embedding.linear_2.bias", torch.zeros(12))
    assert "add_embedding.linear_2.bias is 12 and should be 384" in refused(delta)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder / "unet"), "the UNet is told more than a text"),
        (lambda folder: shutil.rmtree(folder / "text_encoder_2"), "there is no text_encoder_2/config.json"),
        (
            lambda folder: edit(folder / "text_encoder_2/config.json", hidden_size=96),
            "the text encoder's have 288",
        ),
        (lambda folder: edit(folder / "unet/config.json", addition_time_embed_dim=16), "numbers, and those"),
        (
            lambda folder: (folder / "model_index.json").unlink(),
            "it is of Stable Diffusion 1.x and 2.x, and the catalog says sdxl",
        ),
    ],
)
def test_one_that_lacks_what_its_family_needs_is_refused(
    spoil: Callable[[Path], None], said: str, delta: Path
) -> None:
    spoil(delta)
    assert said in refused(delta)


def test_the_files_say_no_more_of_where_they_were_made_than_the_base_s() -> None:
    for file in SHIPPED.rglob("*.json"):
        assert "_name_or_path" not in json.loads(file.read_text())
    assert read_card(SHIPPED).base == "pocket"
    assert (SHIPPED / WEIGHTS).stat().st_size < 4.5e6
