"""The controls of the catalog: ControlNets, Control-LoRAs and T2I-Adapters."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from jobs.catalog.entry import Entry, Id
from jobs.requests.conditions.maps import Preprocessor
from jobs.wire import AtMost


class ControlCard(Entry):
    """A control: its files, the models that it was made for, and what makes its maps of pictures."""

    path: Path | None = Field(
        None, description="A folder that diffusers has written or a Control-LoRA's, or one .safetensors file."
    )
    variant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Which variant of a folder's weights to read, such as fp16.",
    )
    base: Annotated[tuple[Id, ...], AtMost(100)] = Field(
        (), description="Models that it is made for. Left out: any whose configuration fits."
    )
    preprocess: Preprocessor = Field(
        Preprocessor.NONE, description="What makes a map of a picture, for requests that do not say."
    )
    licence: str = Field("", description="Of its weights, as its maker names it.")

    def fits(self, names: Collection[str]) -> bool:
        """Whether it is made for a model of these names."""
        return not self.base or not set(self.base).isdisjoint(names)
