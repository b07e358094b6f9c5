"""The command that converts checkpoints of other layouts."""

from pathlib import Path

import pytest
import torch

from tests.app.conftest import Run
from tests.worker.models.conversion.adm_network import GuidedDiffusionUNet, randomised
from tests.worker.models.variants import load

Out = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("in_forks")


def test_a_published_file_becomes_a_folder_that_is_served(run: Run, tmp_path: Path, capsys: Out) -> None:
    file, folder = tmp_path / "diffusion.pt", tmp_path / "m"
    torch.save(randomised(GuidedDiffusionUNet(base=64, head=64)).state_dict(), file)
    assert run("convert", "adm", str(file), str(folder), "--px", "64") == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(folder)
    assert "levels of 64, 128, 128 channels, 2 blocks each" in said.err
    assert load(folder, family="pixels").facts.latent_channels == 3


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"no tensors", ["--px", "64"], "cannot be read as tensors alone"),
        (b"", ["--px", "0"], "--px"),
        (None, ["--px", "64"], "not exist"),
    ],
)
def test_what_cannot_be_converted_ends_with_one_line(
    content: bytes | None, options: list[str], said: str, run: Run, tmp_path: Path, capsys: Out
) -> None:
    file = tmp_path / "x.pt"
    if content is not None:
        file.write_bytes(content)
    assert run("convert", "adm", str(file), str(tmp_path / "m"), *options) != 0
    # On a narrow terminal the sentence is broken into the lines of a box.
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "m").exists()
