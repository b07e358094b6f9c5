"""The commands about adapters, on the shipped model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jobs.catalog.catalog import load_catalog
from jobs.errors import ModelUnavailableError
from tests.app.conftest import Run
from worker.models.adapters.inspection import inspect
from worker.models.inversions.inspection import inspect_inversion
from worker.models.loading.header import read_shapes

ROOT = Path(__file__).parents[4]

Out = pytest.CaptureFixture[str]
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CATALOG = (
    """# mine
[models.pocket]
path = "POCKET"
clip = "c"
width = 64
height = 64
min_px = 64
max_px = 64

[clips.c]
path = "POCKET"
"""
).replace("POCKET", str(ROOT / "models" / "pocket"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An adapter of one layer of the shipped model, beside a catalog."""
    (tmp_path / "models.toml").write_text(CATALOG)
    weights = ROOT / "models" / "pocket" / "unet" / "diffusion_pytorch_model.safetensors"
    width = read_shapes(weights)[f"{LAYER}.weight"][1]
    tensors = {
        f"unet.{LAYER}.lora_A.weight": torch.ones(4, width),
        f"unet.{LAYER}.lora_B.weight": torch.ones(width, 4),
    }
    metadata = {
        "modelspec.title": 'Ink "fine"',
        "modelspec.trigger_phrase": "ink",
        "modelspec.license": "MIT",
    }
    (tmp_path / "loras").mkdir()
    save_file(tensors, tmp_path / "loras" / "my ink.safetensors", metadata)
    return tmp_path / "loras" / "my ink.safetensors"


@pytest.mark.slow("starts a process that imports the worker's libraries")
def test_an_adapter_is_added_with_what_its_file_says(
    run: Run, file: Path, tmp_path: Path, capsys: Out
) -> None:
    assert run("adapters", "add", str(file)) == 0
    said = capsys.readouterr()
    assert said.out.strip() == "my-ink"
    assert "rank 4, 1 layers of the unet, for pocket" in said.err
    (card,) = load_catalog(tmp_path / "models.toml").adapters
    assert (card.id, card.base, card.triggers, card.licence) == ("my-ink", ("pocket",), ("ink",), "MIT")
    assert card.description == 'Ink "fine"'
    assert card.path is not None
    assert card.path.resolve() == file.resolve()
    assert set(card.sha256) == {"my ink.safetensors"}
    assert (tmp_path / "models.toml").read_text().startswith(CATALOG.rstrip())
    assert run("adapters", "list") == 0
    assert capsys.readouterr().out.startswith("my-ink\tlora\tpocket\tink\tMIT\t")


def write_inversion(folder: Path, token: str, width: int) -> Path:
    save_file({token: torch.ones(2, width)}, folder / "my cat.safetensors")
    return folder / "my cat.safetensors"


@pytest.mark.usefixtures("in_forks")
def test_a_textual_inversion_is_added_with_its_word(
    run: Run, file: Path, tmp_path: Path, capsys: Out
) -> None:
    cat = write_inversion(tmp_path, "<cat>", 192)
    assert run("adapters", "add", str(cat), "--licence", "MIT") == 0
    said = capsys.readouterr()
    assert said.out.strip() == "my-cat"
    assert "a textual inversion of 2 vectors, for pocket" in said.err
    (card,) = load_catalog(tmp_path / "models.toml").textual_inversions
    assert (card.id, card.word, card.base, card.licence) == ("my-cat", "<cat>", ("pocket",), "MIT")
    assert set(card.sha256) == {"my cat.safetensors"}
    before = (tmp_path / "models.toml").read_text()
    assert run("adapters", "add", str(cat), "--name", "again") == 78
    assert "both have the word '<cat>'" in capsys.readouterr().err
    assert (tmp_path / "models.toml").read_text() == before
    assert run("adapters", "list") == 0
    assert capsys.readouterr().out.startswith("my-cat\ttextual inversion\tpocket\t<cat>\tMIT\t")


def test_a_textual_inversion_of_another_width_is_refused(file: Path, tmp_path: Path) -> None:
    cat = write_inversion(tmp_path, "cat", 768)
    with pytest.raises(ModelUnavailableError, match=r"pocket: its vectors have 768 numbers, .* encoder 192"):
        inspect_inversion(cat, load_catalog(tmp_path / "models.toml"), ())


def test_an_adapter_of_another_model_is_refused_by_what_does_not_fit(file: Path, tmp_path: Path) -> None:
    save_file({"unet.x.lora_A.weight": torch.ones(4, 8), "unet.x.lora_B.weight": torch.ones(8, 4)}, file)
    with pytest.raises(
        ModelUnavailableError, match=r"pocket: adapter 'my ink.safetensors' .* 1 are missing .x."
    ):
        inspect(file, load_catalog(tmp_path / "models.toml"), ())


def test_a_name_that_is_taken_is_refused_before_anything_is_read(
    run: Run, file: Path, tmp_path: Path, capsys: Out
) -> None:
    (tmp_path / "models.toml").write_text(CATALOG + f'[adapters.ink]\npath = "{file}"\n')
    assert run("adapters", "add", str(file), "--name", "ink") == 78
    assert "has an entry 'ink' already; give another --name" in capsys.readouterr().err
