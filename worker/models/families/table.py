"""The family of a checkpoint, by the class that its ``model_index.json`` names."""

from dataclasses import replace
from typing import Any

from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from jobs.requests.conditions.families import ModelKind
from worker.models.adapters.files import UNET
from worker.models.families.compatibility import require_guidance
from worker.models.families.family import Family, Parts
from worker.models.families.latent_diffusion import extra_channels
from worker.models.families.pixels import PIXELS
from worker.models.families.stable_diffusion import STABLE_DIFFUSION
from worker.models.families.stable_diffusion_xl import STABLE_DIFFUSION_XL
from worker.models.families.stable_diffusion_xl_refiner import STABLE_DIFFUSION_XL_REFINER
from worker.models.families.stable_unclip import STABLE_UNCLIP

FAMILIES: dict[str, Family] = {
    "StableDiffusionPipeline": STABLE_DIFFUSION,
    # Pipelines of the same networks, whose other abilities are not used.
    "StableDiffusionPipelineSafe": STABLE_DIFFUSION,
    "StableDiffusionImg2ImgPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipeline": STABLE_DIFFUSION,
    "StableDiffusionInpaintPipelineLegacy": STABLE_DIFFUSION,
    "LatentConsistencyModelPipeline": STABLE_DIFFUSION,
    "LatentConsistencyModelImg2ImgPipeline": STABLE_DIFFUSION,
    "StableDiffusionInstructPix2PixPipeline": STABLE_DIFFUSION,
    "StableDiffusionXLPipeline": STABLE_DIFFUSION_XL,
    "StableDiffusionXLInpaintPipeline": STABLE_DIFFUSION_XL,
    # The class that the refiner is published as.
    "StableDiffusionXLImg2ImgPipeline": STABLE_DIFFUSION_XL_REFINER,
    "DDPMPipeline": PIXELS,
    "DDIMPipeline": PIXELS,
    "StableUnCLIPImg2ImgPipeline": STABLE_UNCLIP,
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


def kind_of(parts: Parts) -> ModelKind:
    """The kind of a checkpoint, by the channels that its UNet takes."""
    edits = "vae" in parts and extra_channels(parts) == parts["vae"].config.latent_channels
    return ModelKind.EDIT if edits else ModelKind.TEXT


def of_kind(family: Family, card: ModelCard) -> Family:
    """A family that refuses a checkpoint of another kind than the catalog says, before its weights are read.

    Requests to one would lack what it needs, or have what it does not read.
    """

    def require(parts: Parts) -> None:
        family.require(parts)
        require_guidance(parts[UNET].config, is_embedded=card.cfg_embedded)
        edits = kind_of(parts) is ModelKind.EDIT
        if edits is not (card.kind is ModelKind.EDIT):
            does, kind = (
                ("edits pictures as InstructPix2Pix does", "edit") if edits else ("edits no pictures", "text")
            )
            raise ModelUnavailableError(
                f"it {does}, and the catalog says {card.kind}: write kind = {kind!r} there"
            )

    return replace(family, require=require)


def served() -> str:
    """What is served, for messages: each family with the classes of its checkpoints."""
    return "; ".join(
        f"{family.name} ({', '.join(name for name, its in FAMILIES.items() if its is family)})"
        for family in dict.fromkeys(FAMILIES.values())
    )
