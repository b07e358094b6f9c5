"""Every format of a textual inversion holds the same vectors; other files are refused, and no code of a file runs."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from jobs.catalog.models import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ModelUnavailableError
from tests.worker.models.inversions.conftest import drawn
from worker.models.adapters.files import TEXT, TEXT_2
from worker.models.inversions.files import MAX_BYTES, MAX_VECTORS, is_inversion, read_inversion
from worker.models.inversions.finding import find_words
from worker.models.inversions.words import Room
from worker.models.loading.digests import Digests

TWO = drawn(2, 0)
Write = Callable[[Path], None]
FORMATS: dict[str, tuple[str, Write]] = {
    "the web UI's tensors": ("cat.safetensors", lambda file: save_file({"emb_params": TWO}, file)),
    "diffusers' tensors": ("other.safetensors", lambda file: save_file({"cat": TWO}, file)),
    "the web UI's pickle": (
        "cat.pt",
        lambda file: torch.save({"string_to_param": {"*": torch.nn.Parameter(TWO)}, "name": "x"}, file),
    ),
    "diffusers' pickle": ("other.bin", lambda file: torch.save({"cat": TWO}, file)),
}


class Ran:
    """Raises when it is unpickled with the means of pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('the file ran code')",)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same(name: str, tmp_path: Path) -> None:
    file, write = FORMATS[name]
    write(tmp_path / file)
    found = read_inversion(tmp_path / file)
    assert found.word == "cat"
    assert found.vectors.keys() == {TEXT}
    assert torch.equal(found.vectors[TEXT], TWO)
    assert is_inversion(tmp_path / file)


def test_a_folder_of_diffusers_is_read(tmp_path: Path) -> None:
    save_file({"<cat>": TWO[0].half()}, tmp_path / "learned_embeds.safetensors")
    found = read_inversion(tmp_path)
    vectors = found.vectors[TEXT]
    assert (found.word, vectors.shape, vectors.dtype) == ("<cat>", (1, 32), torch.float32)
    assert is_inversion(tmp_path)


def test_an_adapter_is_no_textual_inversion(files: dict[str, Path]) -> None:
    assert not is_inversion(files["all"])
    with pytest.raises(ModelUnavailableError, match="no textual inversion of one word: it has"):
        read_inversion(files["all"])


def saved(content: object) -> Write:
    return lambda file: torch.save(content, file)


def compressed(file: Path) -> None:
    """A file of ``torch.save`` that unfolds to a thousand times its size."""
    torch.save({"cat": torch.zeros(MAX_VECTORS, 768)}, file)
    with zipfile.ZipFile(file) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("a.pt", saved(Ran()), "more than tensors and plain values"),
        ("a.pt", saved({"string_to_param": {"*": Ran()}}), "more than tensors and plain values"),
        ("a.pt", compressed, "compressed parts"),
        ("a.pt", lambda file: file.write_bytes(b"\x80\x02}q\x00."), "no archive as torch.save"),
        ("a.pt", lambda file: file.write_bytes(b"x" * (MAX_BYTES + 1)), "more than 8 MiB"),
        ("a.bin", saved([1, 2]), "it holds a list"),
        ("a.bin", saved({"cat": 3}), "no vectors"),
        ("a.bin", saved({"cat": TWO.int()}), "no vectors"),
        ("a.bin", saved({"cat": TWO[None]}), "no vectors"),
        ("a.bin", saved({"cat": TWO, "dog": TWO}), "of one word: it has cat, dog"),
        ("a.bin", saved({}), "it has nothing"),
        ("a.bin", saved({"cat": drawn(MAX_VECTORS + 1, 0)}), f"1 to {MAX_VECTORS}"),
        ("a.bin", saved({"cat": torch.zeros(1).expand(2, 2**40)}), "too large"),
        ("a.bin", saved({"cat": torch.full((1, 4), torch.inf)}), "not finite"),
        (
            "a.safetensors",
            lambda file: save_file({"clip_g": TWO}, file),
            "whose files have clip_l and clip_g: it lacks clip_l",
        ),
        (
            "a.pt",
            lambda file: torch.save({"clip_l": TWO, "clip_g": TWO[:1]}, file),
            "2 vectors for one text encoder and 1 for the other",
        ),
        ("a.safetensors", lambda file: file.write_bytes(b"nothing"), "cannot be loaded"),
        ("a.ckpt", lambda file: file.touch(), "no .safetensors, .pt or .bin"),
        ("a.pt", lambda _: None, "does not exist"),
    ],
)
def test_a_file_of_another_kind_is_refused(name: str, write: Write, reason: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(ModelUnavailableError, match=reason):
        read_inversion(tmp_path / name)


def found_for(tmp_path: Path, vectors: Tensor, **fields: object) -> object:
    """What a word of a model of 32 numbers and 75 tokens stands for."""
    save_file({"emb_params": vectors}, tmp_path / "cat.safetensors")
    card = TextualInversionCard.model_validate({"id": "cat", "path": tmp_path / "cat.safetensors", **fields})
    size = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    model = ModelCard.model_validate({"id": "m", "path": tmp_path, "clip": "c", **size})
    return find_words([card], model, Digests(), {TEXT: Room(32, 75)})[TEXT]["cat"]


def test_a_word_has_the_vectors_of_its_file(tmp_path: Path) -> None:
    found = found_for(tmp_path, TWO)
    assert isinstance(found, Tensor)
    assert torch.equal(found, TWO)


@pytest.mark.parametrize("base", [(), ("m",)])
def test_one_that_does_not_fit_says_so(base: tuple[str, ...], tmp_path: Path) -> None:
    refused = found_for(tmp_path, drawn(1, 0, width=16), base=base)
    assert isinstance(refused, ModelUnavailableError)
    assert "have 16 numbers, and those of the model's text encoder 32" in refused.message
    assert ("its entry names no base" in refused.message) == (not base)


def test_a_file_of_sdxl_has_vectors_for_each_encoder(tmp_path: Path) -> None:
    file, wide = tmp_path / "cat.safetensors", drawn(2, 1, width=48)
    save_file({"clip_l": TWO, "clip_g": wide}, file)
    found = read_inversion(file)
    assert is_inversion(file)
    assert (found.word, found.count, list(found.vectors)) == ("cat", 2, [TEXT, TEXT_2])
    assert torch.equal(found.vectors[TEXT], TWO)
    assert torch.equal(found.vectors[TEXT_2], wide)


def test_a_file_that_is_not_the_pinned_one_is_not_used(tmp_path: Path) -> None:
    refused = found_for(tmp_path, TWO, sha256={"cat.safetensors": "0" * 64})
    assert isinstance(refused, ModelUnavailableError)
    assert "is not the file whose sha256 the catalog pins" in refused.message


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    refused = found_for(tmp_path, TWO, path=tmp_path / "dog.safetensors")
    assert isinstance(refused, ModelUnavailableError)
    assert "dog.safetensors does not exist" in refused.message
