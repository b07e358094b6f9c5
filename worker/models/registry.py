"""The models in memory: loaded by a thread beside the engine, pinned by jobs, evicted to make room."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.errors import LodestarError, ModelUnavailableError, UnknownModelError
from worker.models.adapters.factors import Adapter
from worker.models.clip import ClipModel
from worker.models.controls.control import Control
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.loader import Loaded, Loader, Ref, require_fit, taken_bytes
from worker.models.loading.digests import Digests

Kind = TypeVar("Kind", bound=Loaded)

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Pin:
    """The models of one job: loaded, then kept in memory until released.

    ``ready`` and ``error`` may be read by any thread; one of them is set when ``on_settled`` is called.
    """

    refs: tuple[Ref, ...]
    on_settled: Callable[[], None]
    on_release: Callable[["Pin"], None]
    ready: bool = False
    error: LodestarError | None = None
    released: bool = False

    def release(self) -> None:
        """Let the models be evicted when room is needed."""
        self.on_release(self)


@dataclass
class _Resident:
    model: Loaded
    source: Any = None  # what the catalog said of it
    pins: set[Pin] = field(default_factory=set)


class ModelRegistry:
    """Models by their id in the catalog.

    Within ``device.model_bytes``, the least recently used is evicted first, and never a pinned one. A job whose models
    find no room, since other jobs pin theirs, waits for these to end; jobs that come later queue behind it, so that it
    does not starve. Models that exceed the limit by themselves are tried alone. A model whose entry has changed is
    loaded again for the next job, once those that pin it have ended.
    """

    def __init__(
        self,
        catalog: Catalog | CatalogFile,
        device: Device,
        digests: Digests | None = None,
        on_loaded: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """Load nothing yet; the arguments are those of ``Loader``."""
        self.device = device
        self._loads = Loader(catalog, device, digests, on_loaded)
        self._resident: OrderedDict[Ref, _Resident] = OrderedDict()  # the least recently used first
        self._queue: deque[Pin] = deque()  # not settled yet
        self._short_of_room = False  # the first of the queue waits for other jobs to end
        self._changed = threading.Condition()  # guards the three above
        self._one_at_a_time = threading.Lock()
        self._loader: threading.Thread | None = None

    @property
    def catalog(self) -> Catalog:  # of this moment
        return self._loads.catalog

    def diffusion(self, model_id: str) -> Denoiser:
        """A diffusion model. Loads it if it is not in memory.

        Raises:
            UnknownModelError: the catalog does not hold it.
            ModelUnavailableError: it cannot be loaded.
            OutOfMemoryError: it does not fit the device's memory.
        """
        return _as(Denoiser, self._get(Ref("model", model_id)))  # type: ignore[type-abstract]  # isinstance takes it

    def clip(self, clip_id: str) -> ClipModel:
        """A CLIP; errors as for ``diffusion``."""
        return _as(ClipModel, self._get(Ref("clip", clip_id)))

    def adapter(self, adapter_id: str) -> Adapter:
        """An adapter; errors as for ``diffusion``."""
        return _as(Adapter, self._get(Ref("adapter", adapter_id)))

    def control(self, control_id: str) -> Control:
        """A ControlNet; errors as for ``diffusion``."""
        return _as(Control, self._get(Ref("control", control_id)))  # type: ignore[type-abstract]  # likewise

    def image_prompt(self, adapter_id: str) -> ImagePromptAdapter:
        """An image prompt adapter; errors as for ``diffusion``."""
        return _as(ImagePromptAdapter, self._get(Ref("image_prompt", adapter_id)))

    def catalog_problem(self) -> str | None:
        """Why a changed catalog is not in force; None if it is."""
        return self._loads.catalog_problem()

    def loaded(self) -> tuple[str, ...]:
        """Ids of all that is in memory."""
        with self._changed:
            return tuple(ref.id for ref in self._resident)

    def pin(self, refs: Sequence[Ref], on_settled: Callable[[], None]) -> Pin:
        """Load models and CLIPs, and keep them in memory until the pin is released; returns at once.

        Args:
            refs: models and what belongs to them; adapters and ControlNets are for the first.
            on_settled: called when the pin becomes ready or fails, on another thread; not if it is ready already.
        """
        pin = Pin(tuple(refs), on_settled, self._release)
        with self._changed:
            if not self._short_of_room and all(map(self._is_current, pin.refs)):
                for ref in pin.refs:
                    self._use(ref).pins.add(pin)
                pin.ready = True
                return pin
            self._queue.append(pin)
            self._changed.notify()
            if self._loader is None:
                self._loader = threading.Thread(target=self._load_in_turn, name="loader", daemon=True)
                self._loader.start()
        return pin

    def _release(self, pin: Pin) -> None:
        with self._changed:
            pin.released = True
            for resident in self._resident.values():
                resident.pins.discard(pin)
            self._short_of_room = False
            self._changed.notify()

    def _load_in_turn(self) -> None:
        """Settle the pins one after the other, on the loader's thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue and not self._short_of_room)
                pin = self._queue[0]
            try:
                if not self._bring(pin):
                    continue
                pin.ready = True
            except LodestarError as error:
                pin.error = error
            except Exception as error:
                log.exception("loading failed")
                pin.error = ModelUnavailableError(f"{pin.refs[0].id} cannot be loaded: {error}")
            with self._changed:
                self._queue.popleft()
            pin.on_settled()

    def _bring(self, pin: Pin) -> bool:
        """Load the missing models of a pin; False if it has to wait for room."""
        for ref in pin.refs:
            if pin.released:
                break
            if not self._is_current(ref) and not self._make_room(ref, pin):
                return False
            self._get(ref, pin)
        with self._changed:
            loaded = [self._resident[ref].model for ref in pin.refs if ref in self._resident]
        require_fit(loaded)
        return True

    def _make_room(self, ref: Ref, pin: Pin) -> bool:
        """Evict models without a pin, its former state first, until one fits; False if a pin must be released first."""
        wanted, evicted = self._loads.bytes_of(ref), list[str]()
        with self._changed:
            if (former := self._resident.get(ref)) is not None:
                self._short_of_room = bool(former.pins - {pin})
                if self._short_of_room:
                    return False
                self._evict(ref)
                evicted.append(ref.id)
            while self._taken_bytes() + wanted > self.device.model_bytes:
                idle = next((other for other, resident in self._resident.items() if not resident.pins), None)
                if idle is not None:
                    self._evict(idle)
                    evicted.append(idle.id)
                    continue
                self._short_of_room = any(resident.pins - {pin} for resident in self._resident.values())
                break
            waits = self._short_of_room
        if evicted:
            log.info("models evicted", models=evicted, wanted=ref.id)
            self.device.empty_cache()
        return not waits

    def _evict(self, ref: Ref) -> None:
        del self._resident[ref]
        if ref.kind in {"adapter", "control", "image_prompt"}:
            for resident in self._resident.values():
                if isinstance(resident.model, Denoiser):
                    resident.model.release_rows()

    def _taken_bytes(self) -> int:
        return taken_bytes((each.model for each in self._resident.values()), self.device.device)

    def _get(self, ref: Ref, pin: Pin | None = None) -> Loaded:
        with self._changed:
            if ref in self._resident:
                return self._keep(ref, pin)
        with self._one_at_a_time:
            if ref not in self._resident:
                source = self._loads.source_of(ref)
                model = self._loads.load(ref)
                with self._changed:
                    self._resident[ref] = _Resident(model, source)
            with self._changed:
                return self._keep(ref, pin)

    def _is_current(self, ref: Ref) -> bool:
        """Whether a model is in memory as the catalog has it now."""
        resident = self._resident.get(ref)
        try:
            return resident is not None and resident.source == self._loads.source_of(ref)
        except UnknownModelError:
            return False  # loading it will say so

    def _keep(self, ref: Ref, pin: Pin | None) -> Loaded:
        resident = self._use(ref)
        if pin is not None and not pin.released:
            resident.pins.add(pin)
        return resident.model

    def _use(self, ref: Ref) -> _Resident:
        self._resident.move_to_end(ref)
        return self._resident[ref]


def _as(kind: type[Kind], model: Loaded) -> Kind:
    assert isinstance(model, kind)
    return model
