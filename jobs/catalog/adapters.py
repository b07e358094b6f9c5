"""The adapters of the catalog."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from jobs.catalog.entry import MadeForModels
from jobs.requests.conditions.adapters import AdapterKind
from jobs.wire import AtMost


class AdapterCard(MadeForModels):
    """A low-rank adapter: its file, and the models that it is made for."""

    path: Path = Field(description="A .safetensors file, or a folder that diffusers or PEFT has written.")
    kind: AdapterKind = Field(
        AdapterKind.LORA, description="`dora` for one that has magnitudes; a request has it alone."
    )
    weight: float = Field(1.0, ge=-4, le=4, description="Default weight of requests that name none.")
    triggers: Annotated[tuple[str, ...], AtMost(100)] = Field(
        (), description="Words that it was trained with, to be used in prompts."
    )
