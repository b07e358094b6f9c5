"""The models in memory: loaded by a thread beside the engine, pinned by jobs, evicted to make room."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from jobs.catalog.catalog import Catalog
from jobs.errors import LodestarError, ModelUnavailableError
from worker.models.adapters.factors import Adapter
from worker.models.clip import ClipModel
from worker.models.controls.control import Control
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.loader import Loaded, Loader, Ref
from worker.models.loading.digests import Digests

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
    pins: set[Pin] = field(default_factory=set)


class ModelRegistry:
    """Models by their id in the catalog.

    Within ``device.model_bytes``, the least recently used is evicted first, and never a pinned one. A job whose models
    find no room, since other jobs pin theirs, waits for these to end; jobs that come later queue behind it, so that it
    does not starve. Models that exceed the limit by themselves are tried alone.
    """

    def __init__(self, catalog: Catalog, device: Device, digests: Digests | None = None) -> None:
        """Load nothing yet.

        Args:
            catalog: the models.
            device: where to.
            digests: of their files; those of this process alone if left out.
        """
        self.catalog = catalog
        self.device = device
        self._loads = Loader(catalog, device, digests)
        self._resident: OrderedDict[Ref, _Resident] = OrderedDict()  # the least recently used first
        self._queue: deque[Pin] = deque()  # not settled yet
        self._short_of_room = False  # the first of the queue waits for other jobs to end
        self._changed = threading.Condition()  # guards the three above
        self._one_at_a_time = threading.Lock()
        self._loader: threading.Thread | None = None

    def diffusion(self, model_id: str) -> Denoiser:
        """A diffusion model. Loads it if it is not in memory.

        Raises:
            UnknownModelError: the catalog does not hold it.
            ModelUnavailableError: it cannot be loaded.
            OutOfMemoryError: it does not fit the device's memory.
        """
        model = self._get(Ref("model", model_id))
        assert isinstance(model, Denoiser)
        return model

    def clip(self, clip_id: str) -> ClipModel:
        """A CLIP; errors as for ``diffusion``."""
        model = self._get(Ref("clip", clip_id))
        assert isinstance(model, ClipModel)
        return model

    def adapter(self, adapter_id: str) -> Adapter:
        """An adapter; errors as for ``diffusion``."""
        adapter = self._get(Ref("adapter", adapter_id))
        assert isinstance(adapter, Adapter)
        return adapter

    def control(self, control_id: str) -> Control:
        """A ControlNet; errors as for ``diffusion``."""
        control = self._get(Ref("control", control_id))
        assert isinstance(control, Control)
        return control

    def image_prompt(self, adapter_id: str) -> ImagePromptAdapter:
        """An image prompt adapter; errors as for ``diffusion``."""
        adapter = self._get(Ref("image_prompt", adapter_id))
        assert isinstance(adapter, ImagePromptAdapter)
        return adapter

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
            if not self._short_of_room and all(ref in self._resident for ref in pin.refs):
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
            if ref not in self._resident and not self._make_room(ref, pin):
                return False
            self._get(ref, pin)
        self._require_fit(pin.refs)
        return True

    def _require_fit(self, refs: Sequence[Ref]) -> None:
        """Refuse adapters of any kind and ControlNets that were made for another model than the first of these."""
        with self._changed:
            loaded = [self._resident[ref].model for ref in refs if ref in self._resident]
        model = loaded[0] if loaded else None
        for other in loaded:
            if isinstance(model, Denoiser) and isinstance(other, Adapter):
                model.adaptations.require(other)
            if isinstance(model, Denoiser) and isinstance(other, Control):
                model.require_control(other)
            if isinstance(model, Denoiser) and isinstance(other, ImagePromptAdapter):
                model.require_image_prompt(other)

    def _make_room(self, ref: Ref, pin: Pin) -> bool:
        """Evict models without a pin until another one fits; False if a pin must be released first."""
        wanted = self._loads.bytes_of(ref)
        evicted = []
        with self._changed:
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
        networks = {network for resident in self._resident.values() for network in resident.model.networks}
        return sum(
            tensor.nbytes for network in networks for tensor in (*network.parameters(), *network.buffers())
        )

    def _get(self, ref: Ref, pin: Pin | None = None) -> Loaded:
        with self._changed:
            if ref in self._resident:
                return self._keep(ref, pin)
        with self._one_at_a_time:
            if ref not in self._resident:
                model = self._loads.load(ref)
                with self._changed:
                    self._resident[ref] = _Resident(model)
            with self._changed:
                return self._keep(ref, pin)

    def _keep(self, ref: Ref, pin: Pin | None) -> Loaded:
        resident = self._use(ref)
        if pin is not None and not pin.released:
            resident.pins.add(pin)
        return resident.model

    def _use(self, ref: Ref) -> _Resident:
        self._resident.move_to_end(ref)
        return self._resident[ref]
