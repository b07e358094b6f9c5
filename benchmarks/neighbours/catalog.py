"""The models that the service under test serves, one of which is damaged on purpose."""

import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.places import CATALOG, MODELS

ODD_WORD = "accordion"


def catalog(folder: Path) -> Path:
    """The shipped models, and one whose text encoder reads one word as the CLIP that it belongs to does not."""
    (folder / "models").mkdir()
    for shipped in MODELS.iterdir():
        (folder / "models" / shipped.name).symlink_to(shipped)
    shutil.copytree(MODELS / "pocket", folder / "models" / "odd")
    _misread(folder / "models" / "odd")
    entries = CATALOG.read_text()
    block = next(part for part in entries.split("\n\n") if part.startswith("[models.pocket]"))
    odd = block.replace("models.pocket", "models.odd").replace("models/pocket", "models/odd")
    (folder / "models.toml").write_text(f"{entries}\n{odd}\n")
    return folder / "models.toml"


def _misread(model: Path) -> None:
    from transformers import CLIPTokenizer

    words = CLIPTokenizer.from_pretrained(model / "tokenizer")(ODD_WORD, add_special_tokens=False).input_ids
    (file,) = (model / "text_encoder").glob("*.safetensors")
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("token_embedding.weight"))
    table = weights[name].copy()
    table[words] = 30 * table.std() * np.random.default_rng(5).standard_normal((len(words), table.shape[1]))
    save_file({**weights, name: table.astype(weights[name].dtype)}, file, metadata={"format": "pt"})
