"""Embeddings by name: one maker each."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from jobs.errors import NameTakenError, UnknownEmbeddingError
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary, describe
from jobs.storage.safetensors_header import read_floats, read_metadata, with_metadata

VECTOR = np.array((0, 3, 4, 0), np.float32)


@pytest.fixture
def library(tmp_path: Path) -> EmbeddingLibrary:
    return EmbeddingLibrary(ArtifactStore(str(tmp_path)))


def file(**metadata: str) -> bytes:
    known = {"name": "warm", "clip": "c", "digest": "d" * 64, "made_from": "import"}
    return save({"embedding": VECTOR}, metadata=known | metadata)


def test_a_name_is_its_first_makers(library: EmbeddingLibrary) -> None:
    library.put_new("warm", file(), "one/1-a")
    kept = library.file("warm")
    with pytest.raises(NameTakenError, match="'warm'"):
        library.put_new("warm", file(digest="e" * 64), "two/1-b")
    assert library.file("warm") == kept
    assert library.get("warm") == describe(file(), "warm")


def test_one_that_is_not_known_to_be_of_any_job_is_not_overwritten(library: EmbeddingLibrary) -> None:
    library.put("warm", file())
    with pytest.raises(NameTakenError):
        library.put_new("warm", file(digest="e" * 64), "one/1-a")


def test_another_execution_of_the_same_job_takes_the_place_of_a_lost_one(library: EmbeddingLibrary) -> None:
    library.put_new("warm", file(), "one/1-a")
    library.put_new("warm", file(digest="e" * 64), "one/2-b")
    assert library.get("warm").digest == "e" * 64
    library.put_new("warm", file(), "one/2-b")  # whose answer was lost
    assert library.get("warm").digest == "e" * 64


def test_an_execution_takes_back_its_own_only(library: EmbeddingLibrary) -> None:
    library.put_new("warm", file(), "one/2-b")
    library.take_back("warm", "one/1-a")
    assert library.get("warm").name == "warm"
    library.take_back("warm", "one/2-b")
    with pytest.raises(UnknownEmbeddingError):
        library.get("warm")
    library.take_back("warm", "one/2-b")


@pytest.mark.parametrize("said", ["", "x", "a longer text with an umlaut: \u00fc"])
def test_metadata_can_be_added_to_a_file_and_its_numbers_stay(said: str) -> None:
    marked = with_metadata(file(), execution=said)
    assert read_metadata(marked, "warm") == {**read_metadata(file(), "warm"), "execution": said}
    assert read_floats(marked, "embedding", "warm") == VECTOR.tolist()
    assert np.array_equal(load(marked)["embedding"], VECTOR)
    length = int.from_bytes(marked[:8], "little")
    assert length % 8 == 0
    assert json.loads(marked[8 : 8 + length])["embedding"]["shape"] == [4]
