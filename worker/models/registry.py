"""The models in this worker's memory, loaded when they are first needed and kept between jobs."""

import time

import structlog

from jobs.catalog import Catalog
from worker.models.clip import ClipModel, load_clip
from worker.models.device import Device
from worker.models.diffusion import DiffusionModel, load_diffusion

log = structlog.get_logger(__name__)


class ModelRegistry:
    """Models by their id in the catalog."""

    def __init__(self, catalog: Catalog, device: Device) -> None:
        self.catalog = catalog
        self.device = device
        self._diffusion: dict[str, DiffusionModel] = {}
        self._clips: dict[str, ClipModel] = {}

    def diffusion(self, model_id: str) -> DiffusionModel:
        """A diffusion model.

        Raises:
            UnknownModelError: the catalog does not hold it.
            ModelUnavailableError: it cannot be loaded.
        """
        if model_id not in self._diffusion:
            started = time.monotonic()
            self._diffusion[model_id] = load_diffusion(self.catalog.model(model_id), self.device)
            log.info("model loaded", model=model_id, seconds=round(time.monotonic() - started, 2))
        return self._diffusion[model_id]

    def clip(self, clip_id: str) -> ClipModel:
        """A CLIP; errors as for ``diffusion``."""
        if clip_id not in self._clips:
            started = time.monotonic()
            self._clips[clip_id] = load_clip(self.catalog.clip(clip_id), self.device)
            log.info("clip loaded", clip=clip_id, seconds=round(time.monotonic() - started, 2))
        return self._clips[clip_id]

    def loaded(self) -> tuple[str, ...]:
        """Ids of the models and CLIPs in memory."""
        return (*self._diffusion, *self._clips)
