"""The models of this installation, and what is made for them."""

from collections.abc import Iterable
from typing import TypeVar

from fastapi import APIRouter

from app.api.access.keys.needs import needs_key
from app.api.intake.intake import IntakeRoute
from app.api.services import Services, TheServices
from jobs.catalog.entry import MadeForModels
from jobs.catalog.measured import MEASURED
from jobs.catalog.models import ModelCard
from jobs.requests.conditions.families import ModelKind
from jobs.requests.conditions.maps import Preprocessor
from jobs.requests.presets import DEFAULT_PRESETS, PRESETS, GuidancePreset, PresetName
from jobs.requests.samplers import SCHEDULES, SamplerName
from jobs.resolve.objectives import regularizers_of
from jobs.status.models import (
    AdapterInfo,
    AdapterList,
    ControlInfo,
    ControlList,
    Defaults,
    ImagePromptInfo,
    ImagePromptList,
    ModelInfo,
    ModelList,
    PresetInfo,
    Sizes,
    TextualInversionInfo,
    TextualInversionList,
)
from jobs.wire import Wire

Info = TypeVar("Info", bound=Wire)

router = APIRouter(prefix="/v1", tags=["models"], route_class=IntakeRoute)


@router.get("/models", summary="List models")
@needs_key
def list_models(services: TheServices) -> ModelList:
    """The models that a request may name, with their limits and defaults."""
    return ModelList(data=tuple(model_info(card, services) for card in services.catalog.models))


@router.get("/adapters", summary="List adapters")
@needs_key
def list_adapters(services: TheServices) -> AdapterList:
    """The adapters that a request may name, with the models that they are made for."""
    return AdapterList(data=told(AdapterInfo, services.catalog.adapters))


@router.get("/textual-inversions", summary="List textual inversions")
@needs_key
def list_inversions(services: TheServices) -> TextualInversionList:
    """The textual inversions, with the words that stand for them in prompts."""
    return TextualInversionList(data=told(TextualInversionInfo, services.catalog.textual_inversions))


@router.get("/controls", summary="List ControlNets")
@needs_key
def list_controls(services: TheServices) -> ControlList:
    """The ControlNets that a request may name, with the models that they are made for."""
    return ControlList(
        data=told(ControlInfo, services.catalog.controls),
        preprocessors=tuple(Preprocessor),
    )


@router.get("/image-prompts", summary="List image prompt adapters")
@needs_key
def list_image_prompts(services: TheServices) -> ImagePromptList:
    """The adapters that tell a model of pictures (IP-Adapter), with the models that they are made for."""
    return ImagePromptList(data=told(ImagePromptInfo, services.catalog.image_prompts))


def told(info: type[Info], cards: Iterable[MadeForModels]) -> tuple[Info, ...]:
    """What callers are told of entries of the catalog: the fields of these that ``info`` has."""
    return tuple(info.model_validate(card, from_attributes=True) for card in cards)


def model_info(card: ModelCard, services: Services) -> ModelInfo:
    """One model."""
    return ModelInfo(
        id=card.id,
        aliases=card.aliases,
        created=int(services.catalog_file.read_at.timestamp()),
        description=card.description,
        family=card.family,
        kind=card.kind,
        examples=card.examples,
        vocabulary=card.vocabulary,
        sizes=Sizes(min_px=card.min_px, max_px=card.max_px, multiple_px=card.multiple_px),
        defaults=Defaults(
            width=card.width,
            height=card.height,
            steps=card.steps,
            cfg_scale=card.cfg_scale,
            image_cfg_scale=card.image_cfg_scale if card.kind is ModelKind.EDIT else None,
            guidance_rescale=card.guidance_rescale,
            clip_skip=card.clip_skip,
            sampler=card.sampler,
            schedule=card.schedule,
            clip=card.clip,
            preset=DEFAULT_PRESETS[0],
        ),
        clips=tuple(clip.id for clip in services.catalog.clips),
        samplers=tuple(SamplerName),
        schedules=SCHEDULES,
        guidance_presets=tuple(_preset(name, preset) for name, preset in PRESETS.items()),
    )


def _preset(name: PresetName, preset: GuidancePreset) -> PresetInfo:
    measured = MEASURED.get(name)
    return PresetInfo(
        id=name,
        scale=preset.scale,
        cutouts=preset.cutouts,
        target=preset.target,
        source=preset.source,
        cost=None if measured is None else measured.cost,
        gain=None if measured is None else measured.gain,
        defaults={"cutouts": preset.cutouts, **preset.parameters()},
        regularizers=regularizers_of(preset),
    )
