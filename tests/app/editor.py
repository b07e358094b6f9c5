"""An API whose catalog has a model that edits; only a worker would read its files."""

from pathlib import Path

from app.api.settings import ApiSettings

_EDITOR = """
[models.editor]
path = "models/pocket"
kind = "edit"
clip = "pocket-m"
width = 64
height = 64
min_px = 48
max_px = 128
multiple_px = 16
cfg_scale = 4.0
image_cfg_scale = 1.7
"""


def with_editor(settings: ApiSettings, folder: Path) -> ApiSettings:
    """Settings of an API with the model ``editor`` beside the others.

    Args:
        settings: of an API.
        folder: for the catalog.
    """
    text, models = settings.models_file.read_text() + _EDITOR, settings.models_file.parent.absolute()
    file = folder / "models.toml"
    file.write_text(text.replace('"models/', f'"{models}/models/'))
    return settings.model_copy(update={"models_file": file})
