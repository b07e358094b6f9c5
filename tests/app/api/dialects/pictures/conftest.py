"""An API whose catalog has an adapter, a textual inversion and a ControlNet; only a worker would read their files."""

from pathlib import Path

import pytest

from app.api.settings import ApiSettings


@pytest.fixture
def with_networks(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    text, folder = settings.models_file.read_text(), settings.models_file.parent.absolute()
    added = f"""
[adapters.ink]
path = "{tmp_path / "ink drawing.safetensors"}"
triggers = ["ink"]

[adapters.blob]
path = "{tmp_path / "blob.safetensors"}"

[textual_inversions.cat]
path = "{tmp_path / "cat.pt"}"
word = "<my-cat>"
base = ["pocket"]

[controls.edges]
path = "{tmp_path / "edges"}"
preprocess = "canny"

[image_prompts.look]
path = "{tmp_path / "ip-adapter_sd15.safetensors"}"
clip = "pocket-s"
"""
    file = tmp_path / "models.toml"
    file.write_text(text.replace('"models/', f'"{folder}/models/') + added)
    return settings.model_copy(update={"models_file": file})
