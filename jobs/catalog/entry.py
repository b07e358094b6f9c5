"""What every entry of the catalog has: a name, and files."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from jobs.wire import AtMost, Wire

Id = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class Named(Wire):
    """An entry of the catalog."""

    id: Id
    description: str = ""
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(
        default_factory=dict,
        description="Digests of files by their names under the path; a model whose files differ is not loaded.",
    )

    @property
    def places(self) -> tuple[Path, ...]:
        """The local files and folders that it is made of."""
        named = (getattr(self, field, None) for field in ("path", "delta"))
        return tuple(place for place in named if place is not None)


class MadeForModels(Named):
    """An entry that goes beside a model."""

    base: Annotated[tuple[Id, ...], AtMost(100)] = Field(
        (), description="Models that it is made for. Left out: any whose networks it fits."
    )
    licence: str = Field("", description="Of its weights, as its maker names it.")

    def fits(self, names: Collection[str]) -> bool:
        """Whether it is made for a model of these names."""
        return not self.base or not set(self.base).isdisjoint(names)


class Entry(Named):
    """An entry with files of a network."""

    path: Path | None = Field(None, description="A local folder, or a single .safetensors checkpoint.")
    hub: str | None = Field(None, description="A hub id, instead of a path.")
    revision: str | None = Field(
        None, pattern=r"^[0-9a-f]{40}$", description="The hub commit to load; needed with `hub`."
    )

    @property
    def source(self) -> str:
        """Where its files are, for people."""
        return str(self.path) if self.hub is None else self.hub

    @model_validator(mode="after")
    def _names_one_source(self) -> "Entry":
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either path or hub")
        if self.hub is not None and self.revision is None:
            raise ValueError("a hub id needs the 40 digits of its pinned revision")
        return self
