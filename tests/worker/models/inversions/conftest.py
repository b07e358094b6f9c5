"""A tiny Stable Diffusion that knows textual inversions, and one of the same files that knows none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.catalog.textual_inversions import TextualInversionCard
from tests.worker.models.adapters.conftest import PX, drafts, files, tiny_folder
from tests.worker.models.families.checkpoints import WIDTH
from worker.models.device import Device
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

__all__ = ["drafts", "files", "tiny_folder"]  # fixtures

WORDS = {"sks": 1, "<cat-toy>": 3, "blob": 2, "sks-blob": 2}  # with their vectors


def drawn(count: int, seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def vectors() -> dict[str, Tensor]:
    return {word: drawn(count, seed) for seed, (word, count) in enumerate(WORDS.items())}


@pytest.fixture(scope="session")
def learned(vectors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each word, in several formats."""
    root = tmp_path_factory.mktemp("inversions")
    found = {word: root / f"{number}.safetensors" for number, word in enumerate(WORDS)}
    save_file({"sks": vectors["sks"][0]}, found["sks"])  # as diffusers writes a single vector
    for word in ("<cat-toy>", "sks-blob"):
        save_file({"emb_params": vectors[word]}, found[word])
    found["blob"] = root / "blob.pt"
    pickled = {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(vectors["blob"])}}
    torch.save(pickled | {"name": "blob", "step": 100, "sd_checkpoint": None}, found["blob"])
    return found


@pytest.fixture(scope="session")
def inverted(
    tiny_folder: Path,
    files: dict[str, Path],
    learned: dict[str, Path],
    pocket_catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> ModelRegistry:
    """Two models of the same files; ``tiny`` reads the words, and one whose vectors are of another model."""
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": PX, "cfg_scale": 5}
    fields = {"path": tiny_folder, "clip": "pocket-m", **size}
    models = tuple(ModelCard.model_validate({"id": name, **fields}) for name in ("tiny", "unlearned"))
    wide = tmp_path_factory.mktemp("wide") / "wide.safetensors"
    save_file({"emb_params": drawn(1, 9, width=768)}, wide)
    cards = [
        TextualInversionCard(id=f"w{number}", path=learned[word], word=word, base=("tiny",))
        for number, word in enumerate(WORDS)
    ]
    cards.append(TextualInversionCard(id="wide", path=wide, word="wide", base=("tiny",)))
    cards.append(TextualInversionCard(id="for-any", path=wide, word="for-any"))
    catalog = Catalog(
        models=models,
        clips=pocket_catalog.clips,
        adapters=tuple(AdapterCard(id=name, path=file) for name, file in files.items()),
        textual_inversions=tuple(cards),
    )
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", dtype="fp32")))
