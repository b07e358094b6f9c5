"""The families of models, by what their denoisers are told, and their kinds, by what a request gives them."""

from enum import StrEnum


class FamilyName(StrEnum):
    """A kind of checkpoint."""

    SD = "sd"
    SDXL = "sdxl"
    SDXL_REFINER = "sdxl-refiner"
    UNCLIP = "unclip"
    PIXELS = "pixels"

    @property
    def is_told_sizes(self) -> bool:
        """Whether its denoiser reads sizes beside the text."""
        return self in (FamilyName.SDXL, FamilyName.SDXL_REFINER)

    @property
    def reads_texts(self) -> bool:
        """Whether its denoiser is told a text at all."""
        return self is not FamilyName.PIXELS

    @property
    def is_told_pictures(self) -> bool:
        """Whether its denoiser reads embeddings of pictures by itself, without an adapter."""
        return self is FamilyName.UNCLIP


class ModelKind(StrEnum):
    """What a model makes pictures from."""

    TEXT = "text"
    EDIT = "edit"
