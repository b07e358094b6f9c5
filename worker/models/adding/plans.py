"""What a person wants to add, and what is to be done for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.models.adding.sources import Source


@dataclass(frozen=True)
class Wishes:
    """What a person says of the model.

    Attributes:
        source: a path, or an id of the hub.
        name: its id in the catalog; after its source if None.
        variant: of its weights.
        config: for one file, the folder that describes it.
        clip: its guide: an id of the catalog, or a source.
        text_clip: whether the CLIP of its text encoder is wanted.
    """

    source: str
    name: str | None = None
    variant: str | None = None
    config: Path | None = None
    clip: str | None = None
    text_clip: bool = True


@dataclass
class Plan:
    """What is to be fetched, and the entries of it.

    Attributes:
        entries: table, id and fields of each; the digests are added once they are fetched.
        fetches: source and files of each entry.
        parameters: of all that a job uses.
    """

    entries: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    fetches: list[tuple[Source, tuple[str, ...]]] = field(default_factory=list)
    parameters: int = 0

    def add(
        self, table: str, name: str, fields: dict[str, Any], source: Source, files: Sequence[str]
    ) -> None:
        """Add an entry."""
        self.entries.append((table, name, fields))
        self.fetches.append((source, tuple(files)))

    @property
    def missing_bytes(self) -> int:
        """How much is to be fetched."""
        return sum(source.missing_bytes(files) for source, files in self.fetches)
