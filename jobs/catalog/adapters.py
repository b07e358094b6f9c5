"""The adapters of the catalog."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from jobs.catalog.entry import Id, Named
from jobs.requests.conditions.adapters import AdapterKind
from jobs.wire import AtMost


class AdapterCard(Named):
    """A low-rank adapter: its file, and the models that it is made for."""

    path: Path = Field(description="A .safetensors file, or a folder that diffusers or PEFT has written.")
    kind: AdapterKind = Field(
        AdapterKind.LORA, description="`dora` for one that has magnitudes; a request has it alone."
    )
    base: Annotated[tuple[Id, ...], AtMost(100)] = Field(
        (), description="Models that it is made for. Left out: any whose layers have its shapes."
    )
    weight: float = Field(1.0, ge=-4, le=4, description="Default weight of requests that name none.")
    triggers: Annotated[tuple[str, ...], AtMost(100)] = Field(
        (), description="Words that it was trained with, to be used in prompts."
    )
    licence: str = Field("", description="Of its weights, as its maker names it.")

    def fits(self, names: Collection[str]) -> bool:
        """Whether it is made for a model of these names."""
        return not self.base or not set(self.base).isdisjoint(names)
