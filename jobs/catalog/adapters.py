"""The adapters of the catalog."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from jobs.catalog.entry import Entry, MadeForModels
from jobs.requests.conditions.adapters import AdapterKind
from jobs.wire import AtMost


class AdapterCard(Entry, MadeForModels):
    """A low-rank adapter: its file, and the models that it is made for."""

    path: Path | None = Field(
        None, description="A .safetensors file, or a folder that diffusers or PEFT has written."
    )
    file: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. /()+-]*\.safetensors$",
        max_length=200,
        description="With `hub`: its file there. Left out: the one that diffusers or PEFT writes.",
    )
    kind: AdapterKind = Field(
        AdapterKind.LORA, description="`dora` for one that has magnitudes; a request has it alone."
    )
    weight: float = Field(1.0, ge=-4, le=4, description="Default weight of requests that name none.")
    triggers: Annotated[tuple[str, ...], AtMost(100)] = Field(
        (), description="Words that it was trained with, to be used in prompts."
    )

    @property
    def stem(self) -> str:
        """Its file's name without the suffix, by which clients of other services know it."""
        source = self.path or Path(self.file or str(self.hub))
        return source.stem

    @model_validator(mode="after")
    def _names_a_file_of_the_hub(self) -> "AdapterCard":
        if self.file is not None and self.hub is None:
            raise ValueError("file is for a hub id; with path, name the file there")
        if self.file is not None and ".." in Path(self.file).parts:
            raise ValueError("file lies in the repository")
        return self
