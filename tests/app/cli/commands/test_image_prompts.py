"""The commands about image prompt adapters, on the shipped model."""

from pathlib import Path

import pytest
from diffusers import UNet2DConditionModel

from jobs.catalog.catalog import load_catalog
from tests.app.conftest import Run
from tests.worker.models.image_prompts import writing

ROOT = Path(__file__).parents[4]

Out = pytest.CaptureFixture[str]
MODELS = ROOT / "models"
CATALOG = f"""# mine
[models.pocket]
path = "{MODELS / "pocket"}"
clip = "pocket-s"
width = 64
height = 64
min_px = 64
max_px = 64

[clips.pocket-s]
path = "{MODELS / "pocket-s"}"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An adapter of random numbers for the shipped model, beside a catalog."""
    (tmp_path / "models.toml").write_text(CATALOG)
    unet = UNet2DConditionModel.from_pretrained(MODELS / "pocket", subfolder="unet")
    return writing.saved(writing.base(unet, 1, features=192), tmp_path / "my look.safetensors")


@pytest.mark.usefixtures("in_forks")
def test_an_adapter_is_added_if_a_model_has_its_attentions(
    run: Run, file: Path, tmp_path: Path, capsys: Out
) -> None:
    assert run("image-prompts", "add", str(file), "--clip", "pocket-s", "--licence", "MIT") == 0
    said = capsys.readouterr()
    assert said.out.strip() == "my-look"
    assert "my-look: base, 4 tokens for a picture, 4 attentions, for pocket" in said.err
    (card,) = load_catalog(tmp_path / "models.toml").image_prompts
    assert (card.id, card.base, card.clip, card.encoder, card.licence) == (
        "my-look",
        ("pocket",),
        "pocket-s",
        None,
        "MIT",
    )
    assert card.path.resolve() == file.resolve()
    assert set(card.sha256) == {"my look.safetensors"}
    assert run("image-prompts", "list") == 0
    assert capsys.readouterr().out.startswith("my-look\tpocket\tpocket-s\tMIT\t")


@pytest.mark.usefixtures("in_forks")
def test_an_adapter_that_reads_another_encoder_is_refused(
    run: Run, file: Path, tmp_path: Path, capsys: Out
) -> None:
    unet = UNet2DConditionModel.from_pretrained(MODELS / "pocket", subfolder="unet")
    writing.saved(writing.base(unet, 1, features=24), file)
    assert run("image-prompts", "add", str(file), "--clip", "pocket-s") == 78
    assert "reads embeddings of 24 numbers, and its encoder's have 192" in capsys.readouterr().err
    assert (tmp_path / "models.toml").read_text() == CATALOG


@pytest.mark.parametrize("options", [(), ("--clip", "pocket-s", "--encoder", str(MODELS))])
def test_one_encoder_is_named(run: Run, file: Path, capsys: Out, options: tuple[str, ...]) -> None:
    assert run("image-prompts", "add", str(file), *options) == 2
    assert "give either --encoder or --clip" in capsys.readouterr().err


def test_a_name_that_is_taken_is_refused(run: Run, file: Path, tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "models.toml").write_text(
        CATALOG + f'[image_prompts.look]\npath = "{file}"\nclip = "pocket-s"\n'
    )
    assert run("image-prompts", "add", str(file), "--clip", "pocket-s", "--name", "look") == 78
    assert "has an entry 'look' already; give another --name" in capsys.readouterr().err
