"""The image prompt adapters of the catalog."""

from pathlib import Path

from pydantic import Field, model_validator

from jobs.catalog.entry import Id, MadeForModels


class ImagePromptCard(MadeForModels):
    """An IP-Adapter: its file, what encodes its pictures, and the models that it is made for."""

    path: Path = Field(description="A .safetensors file with `image_proj` and `ip_adapter`.")
    encoder: Path | None = Field(
        None,
        description="What encodes its pictures: a folder of transformers' CLIPVisionModelWithProjection.",
    )
    clip: Id | None = Field(
        None, description="Instead of `encoder`: the id of a CLIP whose image tower encodes them."
    )
    weight: float = Field(1.0, ge=0, le=2, description="Default weight of requests that name none.")

    @property
    def places(self) -> tuple[Path, ...]:
        return super().places if self.encoder is None else (*super().places, self.encoder)

    @model_validator(mode="after")
    def _has_one_encoder(self) -> "ImagePromptCard":
        if (self.encoder is None) == (self.clip is None):
            raise ValueError("give either encoder or clip: what encodes its pictures")
        return self
