"""What an IP-Adapter's file must hold, and what its encoder sees."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from transformers import CLIPImageProcessor

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.errors import ConfigurationError, ModelUnavailableError
from tests.worker.models.image_prompts import writing
from tests.worker.models.image_prompts.conftest import PX
from worker.models.device import Device
from worker.models.image_prompts.encoders import squared
from worker.models.image_prompts.inspection import inspect
from worker.models.image_prompts.loading import image_prompt_parameters, load_image_prompt
from worker.models.registry import ModelRegistry
from worker.models.shared import SharedNetworks
from worker.settings import WorkerSettings

Change = Callable[[writing.Tensors], object]
ONE = torch.ones(1)


def load(card: ImagePromptCard, catalog: Catalog) -> None:
    load_image_prompt(card, catalog, Device(WorkerSettings(device="cpu", dtype="fp32")), SharedNetworks())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda its: its.update({"image_proj.perceiver_resampler.proj_in.weight": ONE}), "FaceID Plus"),
        (lambda its: its.update({"image_proj.proj.3.weight": ONE}), "IP-Adapter Full Face"),
        (lambda its: its.update({"image_proj.proj.0.weight": ONE}), "is IP-Adapter FaceID, which"),
        (lambda its: its.update({"ip_adapter.0.to_k_lora.down.weight": ONE}), "changes the model by a LoRA"),
        (lambda its: its.update({"lora.down.weight": ONE}), "not an IP-Adapter: it has lora.down.weight"),
        (lambda its: its.pop("ip_adapter.1.to_k_ip.weight"), "ip_adapter.1.to_k_ip.weight of 2 dimensions"),
        (lambda its: its.pop("ip_adapter.3.to_v_ip.weight"), "1 missing: ip_adapter.3.to_v_ip.weight"),
        (
            lambda its: [its.pop(f"ip_adapter.3.to_{key}_ip.weight") for key in "kv"],
            "attentions are numbered 1, 5, 7, not 1, 3, 5",
        ),
        (lambda its: its.pop("image_proj.norm.bias"), "1 missing: image_proj.norm.bias"),
        (
            lambda its: its.pop("image_proj.proj.weight"),
            "image_proj.latents of 3 dimensions, and it has none",
        ),
        (lambda its: its.update({"image_proj.proj.weight": torch.ones(33, 24)}), "no whole tokens of the 32"),
        (
            lambda its: its.update({"image_proj.proj.weight": torch.ones(128, 25)}),
            "reads embeddings of 25 numbers, and its encoder's have 24",
        ),
        (
            lambda its: its.update({"image_proj.proj.bias": torch.full((128,), torch.nan)}),
            "weights that are not finite",
        ),
    ],
)
def test_another_file_is_refused_with_what_it_is(
    change: Change, reason: str, places: dict[str, Path], tmp_path: Path, pocket_catalog: Catalog
) -> None:
    tensors = writing.base(UNet2DConditionModel.from_pretrained(places["tiny"], subfolder="unet"), 1, 24)
    change(tensors)
    file = writing.saved(tensors, tmp_path / "changed.safetensors")
    card = ImagePromptCard(id="changed", path=file, encoder=places["encoder"])
    with pytest.raises(ModelUnavailableError, match=reason) as refused:
        load(card, pocket_catalog)
    assert refused.value.message.startswith("image prompt adapter changed: ")


def test_plus_is_not_for_an_openclip(places: dict[str, Path], pocket_catalog: Catalog) -> None:
    with pytest.raises(ModelUnavailableError, match="its encoder is a folder of transformers'"):
        load(ImagePromptCard(id="x", path=places["plus"], clip="pocket-s"), pocket_catalog)


@pytest.mark.parametrize(
    ("path", "encoder", "reason"),
    [
        ("nothing.safetensors", "encoder", "does not exist"),
        ("edges/config.json", "encoder", "not a .safetensors file; other formats can run code"),
        ("base.safetensors", "edges", "the image encoder is a None, not a clip_vision_model"),
        ("base.safetensors", "sd", "there is no sd/config.json"),
    ],
)
def test_missing_and_strange_files_are_refused(
    path: str, encoder: str, reason: str, places: dict[str, Path], pocket_catalog: Catalog
) -> None:
    root = places["base"].parent
    with pytest.raises(ModelUnavailableError, match=reason):
        load(ImagePromptCard(id="x", path=root / path, encoder=root / encoder), pocket_catalog)


def test_its_memory_is_known_before_it_is_loaded(prompted: ModelRegistry) -> None:
    for name in ("base", "plus", "pocket"):
        adapter = prompted.image_prompt(name)
        counted = sum(each.numel() for network in adapter.networks for each in network.parameters())
        foreseen = image_prompt_parameters(prompted.catalog.image_prompt(name), prompted.catalog)
        assert foreseen == pytest.approx(counted, rel=0.01)


def test_it_is_inspected_against_models(prompted: ModelRegistry, cards: tuple[ImagePromptCard, ...]) -> None:
    by_id = {card.id: card for card in cards}
    found = inspect(by_id["plus"], prompted.catalog, ())
    assert (found.kind, found.tokens, found.attentions, found.fit.models) == ("Plus", 6, 4, ("tiny",))
    assert list(found.sha256) == ["plus.safetensors"]
    with pytest.raises(
        ModelUnavailableError, match="tiny: image prompt adapter 'wider' was made for another"
    ):
        inspect(by_id["wider"], prompted.catalog, ("tiny",))


def test_a_picture_is_prepared_as_the_encoder_expects() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    theirs = CLIPImageProcessor(size=PX, crop_size=PX, do_normalize=False)(
        Image.fromarray(levels), return_tensors="pt"
    ).pixel_values
    ours = squared(torch.from_numpy(levels).permute(2, 0, 1) / 255, PX)
    assert float((ours - theirs).abs().max()) < 1.5 / 255


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", "image_prompts.x: give either encoder or clip"),
        ('clip = "c"\nencoder = "e"', "image_prompts.x: give either encoder or clip"),
        ('clip = "other"', "image prompt adapter 'x' names the CLIP 'other', which"),
        ('clip = "c"\nbase = ["none"]', "image prompt adapter 'x' is made for the model 'none', which"),
    ],
)
def test_a_wrong_entry_is_refused(entry: str, reason: str, tmp_path: Path) -> None:
    size = "width = 64\nheight = 64\nmin_px = 64\nmax_px = 64"
    (tmp_path / "models.toml").write_text(
        f'[models.m]\npath = "m"\nclip = "c"\n{size}\n[clips.c]\npath = "c"\n'
        f'[image_prompts.x]\npath = "x.safetensors"\n{entry}\n'
    )
    with pytest.raises(ConfigurationError, match=reason):
        load_catalog(tmp_path / "models.toml")
