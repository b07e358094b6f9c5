"""Loads what the catalog names, and tells what is the fault of the model, of the memory and of the device."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog
import torch

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.catalog.controls import ControlCard
from jobs.catalog.families import OfFamily
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import DeviceLostError, OutOfMemoryError
from worker.models.adapters.factors import Adapter
from worker.models.adapters.loading import adapter_parameters, load_adapter
from worker.models.clip import ClipModel
from worker.models.controls.control import Control
from worker.models.controls.loading import control_parameters, load_control
from worker.models.cutout_batches import CutoutBatches
from worker.models.device import Device
from worker.models.failures import Failure, failure_of
from worker.models.families.denoiser import Denoiser
from worker.models.footprint import taking_memory
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.image_prompts.loading import image_prompt_parameters, load_image_prompt
from worker.models.loading.clip import load_clip
from worker.models.loading.diffusion import load_diffusion
from worker.models.loading.digests import Digests
from worker.models.loading.files import parameters, weight_bytes
from worker.models.networks.keeping import Keeping
from worker.models.shared import SharedNetworks
from worker.models.warming import warm_up

log = structlog.get_logger(__name__)

CPU = torch.device("cpu")

Card = ModelCard | ClipCard | AdapterCard | ControlCard | ImagePromptCard
Loaded = Denoiser | ClipModel | Adapter | Control | ImagePromptAdapter
# Fields of entries that requests and people read, and loading does not.
_OF_REQUESTS = {
    *("description", "licence", "aliases", "examples", "vocabulary", "words", "triggers", "base", "upscaler"),
    *("clip", "text_clip", "weight", "preprocess", "personalization_lr"),
    *(OfFamily.model_fields.keys() - {"family", "kind"}),
}


@dataclass(frozen=True)
class Ref:
    """An entry of the catalog."""

    kind: Literal["model", "clip", "adapter", "control", "image_prompt"]
    id: str


class Loader:
    """Loads one model at a time: diffusers and transformers change global state meanwhile."""

    def __init__(
        self,
        catalog: Catalog | CatalogFile,
        device: Device,
        digests: Digests | None = None,
        on_loaded: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """Load nothing yet.

        Args:
            catalog: the models, or their file, which may change.
            device: where to.
            digests: of their files; those of this process alone if left out.
            on_loaded: told the kind of each model that was loaded, and the seconds.
        """
        self._on_loaded = on_loaded
        self._catalog = catalog
        self._device = device
        self._shared = SharedNetworks(digests)
        self._cutout_batches = CutoutBatches()

    @property
    def catalog(self) -> Catalog:
        """The catalog of this moment."""
        return self._catalog.now() if isinstance(self._catalog, CatalogFile) else self._catalog

    def catalog_problem(self) -> str | None:
        """Why a changed catalog is not in force, after another look at it; None if it is."""
        if not isinstance(self._catalog, CatalogFile):
            return None
        self._catalog.now()
        return self._catalog.problem

    def source_of(self, ref: Ref) -> Any:
        """All that the catalog says of a model that decides what is loaded; to be compared.

        Raises:
            UnknownModelError: the catalog does not hold it.
        """
        card, catalog = self._card(ref), self.catalog
        beside: tuple[Any, ...] = ()
        if isinstance(card, ModelCard):
            beside = catalog.textual_inversions_of(card)
        elif isinstance(card, ImagePromptCard) and card.clip is not None:
            beside = (catalog.clip(card.clip),)
        return tuple(each.model_dump(exclude=_OF_REQUESTS) for each in (card, *beside))

    def bytes_of(self, ref: Ref) -> int:
        """The memory that a model will take; 0 if its files cannot be read."""
        card = self._card(ref)
        match card:
            case AdapterCard():
                count = adapter_parameters(card)
            case ControlCard():
                count = control_parameters(card)
            case ImagePromptCard():
                count = image_prompt_parameters(card, self.catalog)
            case ModelCard():
                keeping = Keeping.of(card, self._device.device)
                return weight_bytes(card, self._device.dtype.itemsize, keeping)
            case _:
                count = parameters(card)
        return count * self._device.dtype.itemsize

    def load(self, ref: Ref) -> Loaded:
        """Load a model.

        Raises:
            UnknownModelError: the catalog does not hold it.
            ModelUnavailableError: it cannot be loaded.
            OutOfMemoryError: it does not fit the device's memory.
            DeviceLostError: the device computes no more.
        """
        card, started = self._card(ref), time.monotonic()
        try:
            with taking_memory(self._device.device):
                loaded = self._loaded(card)
        except Exception as error:
            whose = failure_of(_first(error), self._device.answers)
            if whose is Failure.DEVICE:
                raise DeviceLostError(f"the device is lost: {error}") from error
            if whose is Failure.CALL:
                raise
            self._device.empty_cache()
            raise OutOfMemoryError(f"{ref.id} does not fit the device's memory") from error
        seconds = time.monotonic() - started
        self._on_loaded(ref.kind, seconds)
        log.info("loaded", kind=ref.kind, id=ref.id, seconds=round(seconds, 2))
        return loaded

    def _loaded(self, card: Card) -> Loaded:
        if isinstance(card, AdapterCard):
            return load_adapter(card, self._device, self._shared.digests)
        if isinstance(card, ControlCard):
            return load_control(card, self._device, self._shared.digests)
        if isinstance(card, ImagePromptCard):
            return load_image_prompt(card, self.catalog, self._device, self._shared)
        if isinstance(card, ModelCard):
            inversions = self.catalog.textual_inversions_of(card)
            model = load_diffusion(card, self._device, self._shared, inversions)
            if self._device.warms_up:
                warm_up(model, card)
            return model
        clip = load_clip(card, self._device, self._shared)
        # A CPU would spend seconds on it, and keeps the estimate.
        if self._device.device.type == "cuda":
            clip.batch_cutouts = self._cutout_batches.of(card.id, clip)
        return clip

    def _card(self, ref: Ref) -> Card:
        match ref.kind:
            case "model":
                return self.catalog.model(ref.id)
            case "clip":
                return self.catalog.clip(ref.id)
            case "adapter":
                return self.catalog.adapter(ref.id)
            case "control":
                return self.catalog.control(ref.id)
            case "image_prompt":
                return self.catalog.image_prompt(ref.id)


def require_fit(loaded: Sequence[Loaded]) -> None:
    """Refuse adapters of any kind and ControlNets that were made for another model than the first of these.

    Raises:
        ModelUnavailableError: one was.
    """
    model = loaded[0] if loaded else None
    for other in loaded:
        if isinstance(model, Denoiser) and isinstance(other, Adapter):
            model.adaptations.require(other)
        if isinstance(model, Denoiser) and isinstance(other, Control):
            model.require_control(other)
        if isinstance(model, Denoiser) and isinstance(other, ImagePromptAdapter):
            model.require_image_prompt(other)


def taken_bytes(models: Iterable[Loaded], device: torch.device = CPU) -> int:
    """The memory of a device that models take, whose networks may be shared; what is offloaded lies elsewhere."""
    networks = {network for model in models for network in model.networks}
    tensors = (tensor for network in networks for tensor in (*network.parameters(), *network.buffers()))
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type == device.type)


def _first(error: BaseException) -> BaseException:
    """The error that caused another."""
    return error if error.__cause__ is None else _first(error.__cause__)
