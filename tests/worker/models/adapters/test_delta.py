"""A model that is a delta on another's UNet: what is in memory, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from tests.worker.conftest import ROOT
from tests.worker.models.test_unfit import refusal
from tests.worker.models.variants import POCKET, copy_of_pocket, load, rewrite
from training.variants.delta import materialize
from worker.models.adapters.delta import CARD, WEIGHTS, A, B
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.loading.diffusion import load_diffusion
from worker.models.registry import ModelRegistry
from worker.models.shared import SharedNetworks
from worker.settings import WorkerSettings

SHIPPED = ROOT / "models" / "pocket-inpaint"


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A copy of the shipped one."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "delta"))


def test_its_unet_is_the_merged_one_and_the_rest_is_the_base_s_own_in_memory(models: ModelRegistry) -> None:
    plain, inpaint = models.diffusion("pocket"), models.diffusion("pocket-inpaint")
    text_encoder, unet, vae = inpaint.networks
    assert text_encoder is plain.networks[0]
    assert vae is plain.networks[2]
    base = UNet2DConditionModel.from_pretrained(POCKET / "unet").float()
    merged = materialize(base, SHIPPED).state_dict()
    assert unet.state_dict().keys() == merged.keys()
    assert all(torch.equal(tensor, merged[name]) for name, tensor in unet.state_dict().items())
    assert inpaint.facts.sees_hole
    assert not plain.facts.sees_hole
    assert plain.networks[1].state_dict()["conv_in.weight"].shape[1] == 8


def test_two_models_of_one_base_and_one_delta_share_their_unet_and_those_of_another_delta_do_not(
    delta: Path,
) -> None:
    shared, device = SharedNetworks(), Device(WorkerSettings(device="cpu", dtype="fp32"))
    size = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}

    def loaded(folder: Path) -> torch.nn.Module:
        card = ModelCard.model_validate({"id": "m", "path": POCKET, "delta": folder, "clip": "c", **size})
        models.append(load_diffusion(card, device, shared))
        return models[-1].networks[1]

    models: list[Denoiser] = []
    first = loaded(SHIPPED)
    assert loaded(delta) is first
    (delta / WEIGHTS).write_bytes((delta / WEIGHTS).read_bytes())
    change(delta, "conv_in.weight", load_file(delta / WEIGHTS)["conv_in.weight"] + 1)
    assert loaded(delta) is not first


def change(folder: Path, name: str, tensor: Tensor) -> None:
    tensors = {key: value.clone() for key, value in load_file(folder / WEIGHTS).items()} | {name: tensor}
    (folder / WEIGHTS).unlink()  # tensors that were loaded are still mapped from it
    save_file(tensors, folder / WEIGHTS)


def test_it_is_merged_in_the_format_of_the_device() -> None:
    half = load(POCKET, dtype="bf16", delta=SHIPPED).networks[1].state_dict()
    full, base = (load(POCKET, delta=delta).networks[1].state_dict() for delta in (SHIPPED, None))
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}
    for name, tensor in half.items():
        # The base's rounding and the sum's: half of the last of eight bits each.
        most = 2**-8 * full[name].abs() * 1.01
        if base[name].shape == most.shape:
            most = most + 2**-8 * base[name].abs() * 1.01
        assert ((tensor.float() - full[name]).abs() <= most + 1e-7).all(), name


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("mid_block.unheard_of.weight", torch.zeros(3, 3), "mid_block.unheard_of.weight belong to no layer"),
        (f"conv_out{A}", torch.zeros(8, 97, 3, 3), "conv_out has factors"),
        (f"conv_out{B}", torch.full((8, 8, 1, 1), torch.nan), "not finite in float32: conv_out.weight"),
        ("conv_in.weight", torch.zeros(96, 12, 3, 3), "the UNet takes 12 channels"),
        ("conv_in.weight", torch.zeros(95, 17, 3, 3), "conv_in.weight is 95 x 17 x 3 x 3"),
    ],
)
def test_one_that_does_not_fit_is_refused(name: str, tensor: Tensor, said: str, delta: Path) -> None:
    change(delta, name, tensor)
    assert said in refusal(POCKET, delta=delta)


def test_one_of_another_base_is_refused_though_its_shapes_are_the_same(tmp_path: Path) -> None:
    other = copy_of_pocket(tmp_path / "m", "unet")
    rewrite(other / "unet", lambda tensors: tensors | {"conv_out.bias": tensors["conv_out.bias"] + 1})
    message = refusal(other, delta=SHIPPED)
    assert "the delta pocket-inpaint is of pocket, whose UNet has the SHA-256" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "delta.toml cannot be read"),
        ("base = ", "delta.toml cannot be read"),
        ('base = "pocket"', "delta.toml is wrong: base_sha256: Field required"),
        (f'base = "pocket"\nbase_sha256 = "{64 * "0"}"\nrank = 0', "delta.toml is wrong: rank"),
    ],
)
def test_a_card_that_is_missing_or_wrong_is_refused(text: str | None, said: str, delta: Path) -> None:
    (delta / CARD).unlink()
    if text is not None:
        (delta / CARD).write_text(text)
    assert said in refusal(POCKET, delta=delta)


def test_one_without_weights_is_refused(delta: Path) -> None:
    (delta / WEIGHTS).unlink()
    assert "the delta holds no delta.safetensors" in refusal(POCKET, delta=delta)


def test_a_checkpoint_that_is_one_file_takes_none(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ModelUnavailableError, match="a delta stands on a diffusers folder"):
        load(file, delta=SHIPPED)
