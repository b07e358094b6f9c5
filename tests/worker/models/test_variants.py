"""Folders whose weights are a variant, or in parts; and the hub's cache without the hub."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from tests.worker.models.predicting import predicted
from tests.worker.models.variants import POCKET, STEMS, Tensors, copy_of_pocket, load, weights_of
from worker.models.families.denoiser import Denoiser
from worker.models.loading.files import locate, parameters

LATENTS = torch.ones(1, 8, 8, 8)


def keep_as(network: Path, variant: str, *, parts: int = 1, marked: bool = False) -> None:
    """Write a network's weights as a variant beside the full ones, and in so many parts with an index."""
    tensors, stem = load_file(weights_of(network)), STEMS[network.name]
    if marked:
        tensors["decoder.conv_out.bias"] = tensors["decoder.conv_out.bias"] + 1
    keys = list(tensors)
    index: dict[str, str] = {}
    for part in range(parts):
        number = f"-{part + 1:05}-of-{parts:05}" if parts > 1 else ""
        own: Tensors = {key: tensors[key] for key in keys[part::parts]}
        save_file(own, network / f"{stem}.{variant}{number}.safetensors")
        index |= dict.fromkeys(own, f"{stem}.{variant}{number}.safetensors")
    if parts > 1:
        file = network / f"{stem}.safetensors.index.{variant}.json"
        file.write_text(json.dumps({"metadata": {}, "weight_map": index}))


def same(one: Denoiser, other: Denoiser) -> bool:
    text = other.encode_texts(["a red apple"])
    outputs = (predicted(model, LATENTS, torch.tensor([500]), text) for model in (one, other))
    return (
        torch.equal(one.encode_texts(["a red apple"]), text)
        and torch.equal(*outputs)
        and torch.equal(one.render(LATENTS), other.render(LATENTS))
    )


@pytest.mark.parametrize("networks", [tuple(STEMS), ("unet",)], ids=["all", "the UNet"])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_folder_with_a_variant_alone_is_loaded(
    networks: tuple[str, ...], parts: int, tmp_path: Path
) -> None:
    folder = copy_of_pocket(tmp_path / "m", *networks)
    for network in networks:
        keep_as(folder / network, "fp16", parts=parts)
        weights_of(folder / network).unlink()
    assert same(load(folder), load(POCKET))
    assert same(load(folder, variant="fp16"), load(POCKET))


def test_full_weights_are_taken_before_a_variant_unless_that_is_named(tmp_path: Path) -> None:
    folder = copy_of_pocket(tmp_path / "m", "vae")
    keep_as(folder / "vae", "fp16", marked=True)
    assert same(load(folder), load(POCKET))
    assert not same(load(folder, variant="fp16"), load(POCKET))
    with pytest.raises(ModelUnavailableError, match="none of its networks has weights of the variant 'bf16'"):
        load(folder, variant="bf16")


def test_the_numbers_of_a_variant_are_counted_once(tmp_path: Path) -> None:
    folder = copy_of_pocket(tmp_path / "m", "vae")
    keep_as(folder / "vae", "fp16")
    assert counted(folder) == counted(POCKET)


def counted(path: Path) -> int:
    size = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    return parameters(ModelCard.model_validate({"id": "m", "path": path, "clip": "c", **size}))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub that holds the pocket model, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--example--pocket" / "snapshots" / ("1" * 40)
    shutil.copytree(POCKET, folder)
    return folder


def test_what_was_fetched_before_is_loaded_without_the_hub(offline: Path) -> None:
    known = ModelCard.model_validate(
        {
            **{"id": "m", "hub": "example/pocket", "revision": "1" * 40, "clip": "c"},
            **{"width": 64, "height": 64, "min_px": 64, "max_px": 64},
        }
    )
    assert locate(known) == offline
    with pytest.raises(ModelUnavailableError, match=r"example/pocket cannot be fetched: .*offline"):
        locate(known.model_copy(update={"revision": "2" * 40}))
