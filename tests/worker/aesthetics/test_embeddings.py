import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import ClipMismatchError, InvalidFileError
from jobs.storage.safetensors_header import read_metadata
from worker.aesthetics.embedding_files import from_file, import_vector, to_file
from worker.aesthetics.embeddings import AestheticEmbedding, contrast, mean_embedding, require_clip

NORMS = {
    "aivazovsky": 17.24,
    "cloudcore": 18.60,
    "fantasy": 15.36,
    "flower_plant": 13.52,
    "gloomcore": 15.93,
    "glowwave": 15.43,
    "laion_7plus": 0.537,
    "sac_8plus": 3.258,
}


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def array(value: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("name", NORMS)
def test_the_published_embeddings_are_imported(published: Path, name: str) -> None:
    file = published / f"aesthetic-gradients/{name}.pt"
    vector, _ = import_vector(file.read_bytes(), file.name)
    assert (vector.shape, vector.dtype, vector.device.type) == ((768,), torch.float32, "cpu")
    assert float(vector.norm()) == pytest.approx(NORMS[name], abs=0.006)


def test_laions_seven_plus_is_a_contrast_of_its_bucket_vectors(published: Path) -> None:
    def mean(*ratings: int) -> Tensor:
        folder = published / "laion-v1/vit_l_14_embeddings"
        files = [folder / f"rating{rating}.npy" for rating in ratings]
        rows = [import_vector(file.read_bytes(), file.name)[0] for file in files]
        return mean_embedding(torch.stack(rows), normalize=False)

    file = published / "aesthetic-gradients/laion_7plus.pt"
    expected, _ = import_vector(file.read_bytes(), file.name)
    assert torch.equal(contrast(mean(7, 8, 9), mean(1, 2, 3)), expected)


def test_normalising_makes_every_picture_count_the_same() -> None:
    rows = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    assert mean_embedding(rows, normalize=False).tolist() == [5.0, 0.5]
    assert mean_embedding(rows, normalize=True).tolist() == [0.5, 0.5]


def test_a_mean_without_a_direction_is_refused() -> None:
    with pytest.raises(InvalidFileError, match="points nowhere"):
        mean_embedding(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), normalize=True)
    with pytest.raises(InvalidFileError, match="points nowhere"):
        contrast(torch.ones(3), torch.ones(3))


def embedding(clip: str = "pocket-s") -> AestheticEmbedding:
    return AestheticEmbedding(torch.tensor([3.0, 4.0]), clip, {"normalize": "true", "pictures": "5"})


def test_an_embedding_survives_its_file() -> None:
    data = to_file(embedding())
    again = from_file(data, "warm.v1")
    assert torch.equal(again.vector, embedding().vector)
    assert (again.clip, again.metadata) == ("pocket-s", {"normalize": "true", "pictures": "5"})
    assert to_file(again) == data == to_file(embedding())
    assert read_metadata(data, "warm")["digest"] == again.digest == embedding().digest
    assert again.direction.tolist() == pytest.approx([0.6, 0.8])


def test_an_embedding_of_another_clip_is_refused_by_both_names() -> None:
    with pytest.raises(ClipMismatchError, match="'warm' was made by pocket-s, and pocket-m is asked"):
        require_clip(embedding(), "pocket-m", name="warm")
    with pytest.raises(ClipMismatchError, match=r"2 numbers, those of pocket-s have 192"):
        require_clip(embedding(), "pocket-s", name="warm", width=192)
    require_clip(embedding(), "pocket-s", name="warm", width=2)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved(torch.ones(1, 4, dtype=torch.float16)), "a.pt"),
        (saved(torch.ones(4, requires_grad=True)), "a.PT"),
        (saved({"embedding": torch.ones(4)}), "a.pth"),
        (array(np.ones((1, 4), np.float32)), "a.npy"),
        (to_file(AestheticEmbedding(torch.ones(4), "x", {})), "a.safetensors"),
    ],
)
def test_every_published_shape_is_imported(data: bytes, name: str) -> None:
    vector, _ = import_vector(data, name)
    assert vector.tolist() == [1, 1, 1, 1]
    assert not vector.requires_grad


class Sly:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("ran",)


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (70 * 2**20))
    return file.getvalue()


def promising_too_much() -> bytes:
    return array(np.ones((1, 4), np.float32)).replace(b"(1, 4)", b"(9, 9)")


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "a.pt", "cannot be read"),
        (saved(Sly()), "a.pt", "as tensors alone"),
        (pickle.dumps(Sly()), "a.pt", "as tensors alone"),
        (saved([torch.ones(4)]), "a.pt", "a list"),
        (saved({"a": torch.ones(4), "b": torch.ones(4)}), "a.pt", "holds 2 tensors"),
        (saved(torch.ones(3, 4)), "a.pt", r"shape \[3, 4\]"),
        (saved(torch.tensor(3.0)), "a.pt", "shape"),
        (saved(torch.ones(1).expand(10**12)), "a.pt", "more than"),
        (saved(torch.ones(4, dtype=torch.int64)), "a.pt", "int64"),
        (saved(torch.tensor([1.0, float("nan")])), "a.pt", "points nowhere"),
        (bomb(), "a.pt", "unpacks to more"),
        (b"\0" * (65 * 2**20), "a.pt", "larger than"),
        (array(np.array([Sly()], dtype=object)), "a.npy", "no array of numbers"),
        (promising_too_much(), "a.npy", "no array of numbers"),
        (array(np.array(["a"])), "a.npy", "no array of numbers"),
        (b"not numpy", "a.npy", "no array of numbers"),
        # A header whose brackets do not close, which numpy has Python's tokenizer read.
        (array(np.ones((1, 4), np.float32)).replace(b"(1, 4)", b"(1, 4("), "a.npy", "no array of numbers"),
        (b"\xff" * 64, "a.safetensors", "no header"),
        (b"\2\0\0\0\0\0\0\0[]", "a.safetensors", "metadata"),
        (b"anything", "a.bin", "none of"),
    ],
)
def test_other_files_are_refused(data: bytes, name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=reason):
        import_vector(data, name)
    assert not Path("ran").exists()


def test_the_direction_does_not_depend_on_the_length() -> None:
    longer = AestheticEmbedding(embedding().vector * 7, "pocket-s", {})
    torch.testing.assert_close(longer.direction, F.normalize(embedding().vector, dim=0))
