"""A CLIP and a diffusion model in the catalog."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from jobs.catalog.entry import Entry, Id
from jobs.catalog.families import OfFamily
from jobs.wire import AtMost, SomeText


class ClipCard(Entry):
    """A CLIP for guidance, scores and search."""

    head: Path | None = Field(None, description="File of an aesthetic predictor for its embeddings.")


class ModelCard(OfFamily, Entry):
    """A diffusion model: its files, its limits and the defaults of its requests."""

    aliases: Annotated[tuple[Id, ...], AtMost(100)] = Field(
        (), description="Other names of the model, such as those that applications have built in."
    )
    examples: Annotated[tuple[SomeText, ...], AtMost(20)] = Field(
        (), description="Prompts that show what it draws, for people who begin."
    )
    vocabulary: Annotated[tuple[SomeText, ...], AtMost(10_000)] = Field(
        (),
        description="What it was trained to draw, if it draws nothing else: a list, or a text file with one a line.",
    )
    config: Path | None = Field(
        None, description="For a checkpoint file: a diffusers folder whose configs describe it."
    )
    variant: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="For a folder or a hub id: which variant of the weights to read, such as fp16.",
    )
    delta: Path | None = Field(None, description="A folder with a change of its UNet's weights.")
    unet_weights: Literal["full", "int8"] = Field(
        "full",
        description="`int8` keeps the weights of the UNet's linear layers in 8 bits.",
    )
    offload: Literal["none", "encoders"] = Field(
        "none",
        description="`encoders` keeps text encoders and VAE in the host's memory but while they run; for GPUs.",
    )
    clip: str = Field(description="Id of the guidance CLIP of requests that name none.")
    words: Path | None = Field(None, description="A text file of words for its pictures' captions.")
    text_clip: str | None = Field(
        None, description="Id of the CLIP whose text tower is the text encoder; needed for personalization."
    )
    upscaler: Literal["x4plus", "x4plus-anime"] = Field(
        "x4plus",
        description="Real-ESRGAN network for its pictures; x4plus-anime suits drawings, at half the cost.",
    )
    personalization_lr: float = Field(
        1e-4,
        gt=0,
        le=0.1,
        description="Default learning rate of personalization; a small text encoder needs less.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The id, and then the aliases."""
        return (self.id, *self.aliases)

    @property
    def short_hash(self) -> str:
        """Ten hexadecimal digits of the files: for a checkpoint whose digest is pinned the first of it, as in A1111.

        For any other, the first of a digest of what the catalog says of its source.
        """
        if self.path is not None and self.delta is None and self.path.name in self.sha256:
            return self.sha256[self.path.name][:10]
        name = self.hub if self.path is None else self.path.name
        source = [name, self.revision, self.variant, sorted(self.sha256.items())]
        source += [] if self.delta is None else [self.delta.name]
        return sha256(json.dumps(source).encode()).hexdigest()[:10]
