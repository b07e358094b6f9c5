"""A checkpoint that no family serves is refused by its class, and nothing of its weights is read for that."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.loading.single_file import write_single_file
from jobs.requests.conditions.families import FamilyName, ModelKind
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import written
from tests.worker.models.test_unfit import refusal
from tests.worker.models.variants import load
from worker.models.families.denoiser import Denoiser
from worker.models.families.pixels import PixelDiffusion
from worker.models.families.stable_diffusion import StableDiffusion
from worker.models.families.stable_diffusion_xl import StableDiffusionXL
from worker.models.families.stable_diffusion_xl_refiner import StableDiffusionXLRefiner
from worker.models.families.stable_unclip import StableUnClip
from worker.models.families.table import FAMILIES, served
from worker.rows import Row

REFUSED = [
    (checkpoints.flux, "it is a FluxPipeline"),
    (checkpoints.told_of_depth, "the UNet takes 5 channels and the VAE's latents have 4"),
]


def spoil_weights(folder: Path) -> None:
    """Cut off all files of weights, so that to read one is to fail with another error."""
    for file in folder.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_a_folder_that_no_family_serves_is_refused_by_its_class_before_its_weights(
    make: Callable[[], Any], said: str, tmp_path: Path
) -> None:
    folder = written(make, tmp_path / "m")
    spoil_weights(folder)
    message = refusal(folder)
    assert said in message
    assert "served" in message


def test_a_refusal_says_what_is_served(tmp_path: Path) -> None:
    folder = written(checkpoints.flux, tmp_path / "m")
    assert refusal(folder) == f"m: it is a FluxPipeline, and what is served is {served()}"
    assert "Stable Diffusion 1.x and 2.x (StableDiffusionPipeline, " in served()


def test_one_network_in_a_folder_is_named(tmp_path: Path) -> None:
    folder = written(checkpoints.pixels, tmp_path / "m")
    assert "no model_index.json, and it is a UNet2DModel alone" in refusal(folder / "unet")


MADE: dict[FamilyName, tuple[Callable[[], Any], type[Denoiser]]] = {
    FamilyName.SD: (checkpoints.stable_diffusion, StableDiffusion),
    FamilyName.SDXL: (checkpoints.stable_diffusion_xl, StableDiffusionXL),
    FamilyName.SDXL_REFINER: (checkpoints.stable_diffusion_xl_refiner, StableDiffusionXLRefiner),
    FamilyName.UNCLIP: (checkpoints.stable_unclip, StableUnClip),
    FamilyName.PIXELS: (checkpoints.pixels, PixelDiffusion),
}


@pytest.mark.parametrize("pipeline", FAMILIES)
def test_every_class_of_the_table_is_served(pipeline: str, tmp_path: Path) -> None:
    family = FAMILIES[pipeline].id
    make, denoiser = MADE[family]
    folder = written(make, tmp_path / "m")
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": pipeline}))
    assert isinstance(load(folder, family=family), denoiser)


@pytest.mark.parametrize("family", FamilyName)
def test_a_checkpoint_of_another_family_than_the_catalog_says_is_refused_before_its_weights(
    family: FamilyName, tmp_path: Path
) -> None:
    other = next(each for each in FamilyName if each is not family)
    folder = written(MADE[family][0], tmp_path / "m")
    spoil_weights(folder)
    assert f"the catalog says {other}: write family = '{family}' there" in refusal(folder, family=other)


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (
            checkpoints.instruct_pix2pix,
            ModelKind.TEXT,
            "it edits pictures as InstructPix2Pix does, and the catalog says text: write kind = 'edit' there",
        ),
        (checkpoints.stable_diffusion, ModelKind.EDIT, "it edits no pictures, and the catalog says edit"),
        (checkpoints.inpainting, ModelKind.EDIT, "it edits no pictures, and the catalog says edit"),
    ],
)
def test_a_checkpoint_of_another_kind_than_the_catalog_says_is_refused_before_its_weights(
    make: Callable[[], Any], kind: ModelKind, said: str, tmp_path: Path
) -> None:
    folder = written(make, tmp_path / "m")
    spoil_weights(folder)
    assert said in refusal(folder, kind=kind)


def test_an_sdxl_that_edits_is_refused(tmp_path: Path) -> None:
    folder = written(lambda: checkpoints.stable_diffusion_xl(in_channels=8), tmp_path / "m")
    assert "to edit (8 for 4) is not served here" in refusal(folder, family=FamilyName.SDXL)


def as_one_file(make: Callable[[], Any], tmp_path: Path) -> Path:
    """A checkpoint with Stable Diffusion's names, in the layout of the original release."""
    file = tmp_path / "m.safetensors"
    write_single_file(written(make, tmp_path / "m"), file, layers=1, with_attention=(False, True))
    return file


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that describes a Stable Diffusion."""
    return written(checkpoints.stable_diffusion, tmp_path_factory.mktemp("described") / "sd")


@pytest.mark.parametrize("is_described", [True, False])
def test_a_file_with_channels_of_another_kind_is_refused_by_its_shapes(
    *, is_described: bool, described: Path, tmp_path: Path
) -> None:
    file = as_one_file(checkpoints.told_of_depth, tmp_path)
    message = refusal(file, config=described if is_described else None)
    assert "the UNet takes 5 channels and the VAE's latents have 4" in message


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("make", "kind"),
    [(checkpoints.inpainting, ModelKind.TEXT), (checkpoints.instruct_pix2pix, ModelKind.EDIT)],
)
def test_a_checkpoint_with_more_channels_is_the_same_model_as_a_folder_and_as_one_file(
    make: Callable[[], Any], kind: ModelKind, tmp_path: Path
) -> None:
    file = as_one_file(make, tmp_path)
    whole, single = load(tmp_path / "m", kind=kind), load(file, config=tmp_path / "m", kind=kind)
    assert whole.facts == single.facts
    assert (whole.facts.sees_hole, whole.facts.sees_picture) == (kind == "text", kind == "edit")
    assert whole.facts.latent_scale == 0.18215
    text, told = whole.encode_texts(["a fox"]), torch.randn(1, whole.facts.row.extra_channels, 16, 16)
    latents, time = torch.randn(1, 4, 16, 16), torch.tensor([500])
    row = Row(text, channels=told)
    one, other = (model.predict(latents, time, model.rows([(row,)])) for model in (whole, single))
    assert torch.allclose(one, other, atol=1e-5)
    blind = Row(text, channels=torch.zeros_like(told))
    assert not torch.allclose(one, whole.predict(latents, time, whole.rows([(blind,)])), atol=1e-2)


def test_an_inpainting_file_under_the_configuration_of_a_plain_model_is_refused(
    described: Path, tmp_path: Path
) -> None:
    file = as_one_file(checkpoints.inpainting, tmp_path)
    assert "conv_in.weight is 32 x 9 x 3 x 3 and should be 32 x 4 x 3 x 3" in refusal(file, config=described)


@pytest.mark.parametrize(
    ("key", "shape", "said"),
    [
        (
            "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
            [1280],
            "the file holds no text encoder: none of its keys begins with conditioner.embedders.0.transformer.",
        ),
        (
            "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias",
            [1280],
            "the file holds no UNet: none of its keys begins with model.diffusion_model.",
        ),
        ("double_blocks.0.img_attn.norm.key_norm.scale", [128], "it is a FluxPipeline"),
        (
            "model.diffusion_model.joint_blocks.37.x_block.mlp.fc1.weight",
            [9728, 2432],
            "it is a StableDiffusion3Pipeline",
        ),
        ("control_model.time_embed.0.weight", [1280, 320], "it is a ControlNetModel"),
        ("head.modulation", [1, 2, 1536], "it is a checkpoint of the kind wan-"),
        ("input_blocks.0.0.weight", [256, 3, 3, 3], "it is a UNet alone"),
        ("lora_unet_down_blocks_0.lora_down.weight", [8, 320], "the file holds no text encoder"),
    ],
)  # fmt: skip
def test_a_file_of_gigabytes_that_no_family_serves_is_refused_by_its_header(
    key: str, shape: list[int], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.safetensors"
    write_sparse(file, {key: shape, "patch_embedding.weight": [1536, 16, 1, 2, 2], "rest": [2**31]})
    began, read = time.monotonic(), bytes_read()
    assert said in refusal(file)
    assert file.stat().st_size > 4 * 2**30
    assert bytes_read() - read < 2**24
    assert time.monotonic() - began < 30


def write_sparse(file: Path, shapes: dict[str, list[int]]) -> None:
    """A file of zeros in half precision that takes no room on the disk."""
    header, begin = {}, 0
    for key, shape in shapes.items():
        end = begin + 2 * int(torch.tensor(shape).prod())
        header[key] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + begin)


def bytes_read() -> int:
    """Bytes that this process has read from files; 0 where the system has no count."""
    count = Path("/proc/self/io")
    return int(count.read_text().split()[1]) if count.exists() else 0


def test_a_file_under_the_configuration_of_another_family_is_refused(tmp_path: Path) -> None:
    file = as_one_file(checkpoints.stable_diffusion, tmp_path)
    xl = written(checkpoints.stable_diffusion_xl, tmp_path / "xl")
    assert "it is of Stable Diffusion 1.x and 2.x, and xl, its config, is not" in refusal(file, config=xl)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_file_whose_weights_are_not_its_own_is_refused_by_its_header(
    described: Path, tmp_path: Path
) -> None:
    file = as_one_file(checkpoints.stable_diffusion, tmp_path)
    tensors = load_file(file)
    tensors["model.diffusion_model.out.2.weight"] = torch.full((4, 16, 3, 3), torch.nan)
    file.unlink()
    save_file(tensors, file)
    # Read, the numbers would be what is named.
    assert "conv_out.weight is 4 x 16 x 3 x 3 and should be 4 x 32 x 3 x 3" in refusal(file, config=described)
