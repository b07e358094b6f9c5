"""The controls of the catalog: ControlNets, Control-LoRAs and T2I-Adapters."""

from pathlib import Path

from pydantic import Field

from jobs.catalog.entry import Entry, MadeForModels
from jobs.requests.conditions.maps import Preprocessor


class ControlCard(Entry, MadeForModels):
    """A control: its files, the models that it was made for, and what makes its maps of pictures."""

    path: Path | None = Field(
        None, description="A folder that diffusers has written or a Control-LoRA's, or one .safetensors file."
    )
    variant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Which variant of a folder's weights to read, such as fp16.",
    )
    preprocess: Preprocessor = Field(
        Preprocessor.NONE, description="What makes a map of a picture, for requests that do not say."
    )
