"""The family of a checkpoint, by the class that its ``model_index.json`` names."""

from typing import Any

from jobs.catalog.catalog import ModelCard
from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family
from worker.models.families.stable_diffusion import STABLE_DIFFUSION
from worker.models.families.stable_diffusion_xl import STABLE_DIFFUSION_XL
from worker.models.families.stable_diffusion_xl_refiner import STABLE_DIFFUSION_XL_REFINER

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": STABLE_DIFFUSION,
    # Pipelines of the same networks, whose other abilities are not used.
    "StableDiffusionPipelineSafe": STABLE_DIFFUSION,
    "StableDiffusionImg2ImgPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipelineLegacy": STABLE_DIFFUSION,
    "StableDiffusionXLPipeline": STABLE_DIFFUSION_XL,
    "StableDiffusionXLInpaintPipeline": STABLE_DIFFUSION_XL,
    # The class that the refiner is published as.
    "StableDiffusionXLImg2ImgPipeline": STABLE_DIFFUSION_XL_REFINER,
}


def family_of(pipeline: Any) -> Family:
    """The family of a checkpoint.

    Args:
        pipeline: the ``_class_name`` of its ``model_index.json``.

    Raises:
        ModelUnavailableError: no family serves it.
    """
    family = FAMILIES.get(pipeline) if isinstance(pipeline, str) else None
    if family is None:
        raise ModelUnavailableError(f"it is a {pipeline}, and what is served is {served()}")
    return family


def require_family(family: Family, card: ModelCard) -> None:
    """Refuse a checkpoint of another family than the catalog says.

    Raises:
        ModelUnavailableError: it is.
    """
    if family.id is not card.family:
        raise ModelUnavailableError(
            f"it is of {family.name}, and the catalog says {card.family}: write family = {family.id.value!r} there"
        )


def served() -> str:
    """What is served, for messages: each family with the classes of its checkpoints."""
    return "; ".join(
        f"{family.name} ({', '.join(name for name, its in FAMILIES.items() if its is family)})"
        for family in dict.fromkeys(FAMILIES.values())
    )
