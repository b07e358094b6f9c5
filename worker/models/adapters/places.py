"""The folders that describe a checkpoint in diffusers' layout: those of a model, and before them those of a delta."""

from dataclasses import dataclass
from pathlib import Path

from worker.models.adapters.delta import Delta


@dataclass(frozen=True)
class Places:
    """Where the parts of a checkpoint are described.

    Attributes:
        model: a folder with a ``model_index.json``.
        delta: on it, which may bring parts of its own and their index.
    """

    model: Path
    delta: Delta | None = None

    @property
    def index(self) -> Path:
        """The folder with the ``model_index.json`` that counts."""
        return (self.delta and self.delta.index) or self.model

    def of(self, part: str) -> Path:
        """The folder of a part."""
        return (self.delta and self.delta.folder_of(part)) or self.model / part
