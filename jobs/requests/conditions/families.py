"""The families of models, by what their denoisers are told."""

from enum import StrEnum


class FamilyName(StrEnum):
    """A kind of checkpoint."""

    SD = "sd"
    SDXL = "sdxl"
    SDXL_REFINER = "sdxl-refiner"

    @property
    def is_told_sizes(self) -> bool:
        """Whether its denoiser reads sizes beside the text."""
        return self is not FamilyName.SD
