"""The family of a checkpoint, by the class that its ``model_index.json`` names."""

from typing import Any

from jobs.errors import ModelUnavailableError
from worker.models.families.family import Family
from worker.models.families.stable_diffusion import STABLE_DIFFUSION

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": STABLE_DIFFUSION,
    # Pipelines of the same networks, whose other abilities are not used.
    "StableDiffusionPipelineSafe": STABLE_DIFFUSION,
    "StableDiffusionImg2ImgPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipelineLegacy": STABLE_DIFFUSION,
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


def served() -> str:
    """What is served, for messages: each family with the classes of its checkpoints."""
    return "; ".join(
        f"{family.name} ({', '.join(name for name, its in FAMILIES.items() if its is family)})"
        for family in dict.fromkeys(FAMILIES.values())
    )
