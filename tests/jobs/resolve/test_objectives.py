"""Aesthetic objectives: which CLIP computes the loss, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from jobs.catalog.catalog import Catalog
from jobs.errors import ClipMismatchError, InvalidRequestError, LodestarError
from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import AestheticObjective, EmbeddingObjective
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary

DIGEST = "d" * 64


@pytest.fixture
def library(tmp_path: Path) -> EmbeddingLibrary:
    """Holds ``warm``, which pocket-s made."""
    library = EmbeddingLibrary(ArtifactStore(str(tmp_path)))
    metadata = {"name": "warm", "clip": "pocket-s", "digest": DIGEST, "made_from": "import"}
    library.put("warm", save({"embedding": np.ones(4, np.float32)}, metadata=metadata))
    return library


@pytest.fixture
def with_head(catalog: Catalog) -> Catalog:
    """A catalog in which pocket-s has an aesthetic head."""
    clips = tuple(
        clip.model_copy(update={"head": Path("head.pth")}) if clip.id == "pocket-s" else clip
        for clip in catalog.clips
    )
    return catalog.model_copy(update={"clips": clips})


def resolved(
    catalog: Catalog, library: EmbeddingLibrary | None, *objectives: dict[str, Any], **fields: Any
) -> ResolvedGuidance:
    asked = {"prompt": "a red apple", "guidance": {"objectives": objectives, **fields}}
    guidance = resolve(GenerateRequest.model_validate(asked), catalog, library).guidance
    assert guidance is not None
    return guidance


def test_the_aesthetic_loss_is_computed_by_a_clip_with_a_head(with_head: Catalog) -> None:
    guidance = resolved(with_head, None, {"type": "aesthetic", "weight": 0.5})
    assert guidance.objectives == (AestheticObjective(type="aesthetic", weight=0.5, clip="pocket-s"),)
    assert guidance.clips == ("pocket-m", "pocket-s")
    (objective,) = resolved(with_head, None, {"type": "aesthetic"}, clip="pocket-s").objectives
    assert isinstance(objective, AestheticObjective)
    assert objective.clip == "pocket-s"


def test_an_embedding_is_compared_by_the_clip_that_made_it_and_pinned(
    catalog: Catalog, library: EmbeddingLibrary
) -> None:
    guidance = resolved(catalog, library, {"type": "embedding", "embedding": "warm"})
    pinned = EmbeddingObjective(type="embedding", embedding="warm", clip="pocket-s", digest=DIGEST)
    assert guidance.objectives == (pinned,)
    assert resolved(catalog, library, pinned.model_dump()).objectives == (pinned,)


@pytest.mark.parametrize(
    ("objective", "error", "field", "message"),
    [
        ({"type": "aesthetic"}, InvalidRequestError, "", "no CLIP of the catalog has an aesthetic head"),
        (
            {"type": "aesthetic", "clip": "pocket-m"},
            InvalidRequestError,
            ".clip",
            "'pocket-m' has no aesthetic head",
        ),
        (
            {"type": "embedding", "embedding": "cold"},
            InvalidRequestError,
            ".embedding",
            "no aesthetic embedding 'cold'",
        ),
        (
            {"type": "embedding", "embedding": "warm", "clip": "pocket-m"},
            ClipMismatchError,
            ".clip",
            "made by pocket-s, and pocket-m is asked to compare",
        ),
        (
            {"type": "embedding", "embedding": "warm", "digest": "e" * 64},
            InvalidRequestError,
            ".digest",
            "another one by now",
        ),
    ],
)
def test_an_objective_that_no_clip_can_serve_is_refused_naming_its_place(
    catalog: Catalog,
    library: EmbeddingLibrary,
    objective: dict[str, Any],
    error: type[LodestarError],
    field: str,
    message: str,
) -> None:
    with pytest.raises(error, match=message) as caught:
        resolved(catalog, library, {"type": "tv"}, objective)
    assert caught.value.field == f"guidance.objectives.1{field}"
