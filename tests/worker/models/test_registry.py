"""The models in memory over time."""

import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import DeviceLostError, ModelUnavailableError, OutOfMemoryError, UnknownModelError
from tests.worker.conftest import ROOT
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.loader import Ref
from worker.models.loading.digests import Digests
from worker.models.loading.files import parameters
from worker.models.registry import ModelRegistry, Pin
from worker.settings import WorkerSettings

POCKET = ROOT / "models" / "pocket"
VAE = "vae/diffusion_pytorch_model.safetensors"


def model(name: str, path: Path, **fields: object) -> ModelCard:
    size = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    return ModelCard.model_validate({"id": name, "path": path, "clip": "m", **size, **fields})


def catalog(*models: ModelCard) -> Catalog:
    clips = tuple(
        ClipCard(id=name, path=ROOT / "models" / f"pocket-{folder}")
        for name, folder in {"m": "m", "twin": "m", "s": "s"}.items()
    )
    return Catalog(models=models or (model("pocket", POCKET),), clips=clips)


def registry(catalog: Catalog, *, model_bytes: int | None = None) -> ModelRegistry:
    gib = None if model_bytes is None else model_bytes / 2**30
    return ModelRegistry(catalog, Device(WorkerSettings(device="cpu", model_memory_gib=gib)))


def ask(models: ModelRegistry, clip: str, model: str = "pocket") -> tuple[Pin, threading.Event]:
    settled = threading.Event()
    pin = models.pin([Ref("model", model), Ref("clip", clip)], settled.set)
    if pin.ready:
        settled.set()
    return pin, settled


def bytes_of(models: Catalog, *clips: str) -> int:
    numbers = parameters(models.model(None)) + sum(parameters(models.clip(clip)) for clip in clips)
    return numbers * 4


def test_models_that_share_files_share_the_networks(tmp_path: Path) -> None:
    shutil.copytree(POCKET, tmp_path / "other")
    weights = load_file(tmp_path / "other" / VAE)
    first = next(iter(weights))
    save_file({**weights, first: weights[first] + 1}, tmp_path / "other" / VAE)
    models = registry(catalog(model("pocket", POCKET), model("other", tmp_path / "other")))
    one, other = models.diffusion("pocket").networks, models.diffusion("other").networks
    assert [mine is theirs for mine, theirs in zip(one, other, strict=True)] == [True, True, False]
    assert models.clip("m").networks[0] is models.clip("twin").networks[0]
    assert models.clip("m").networks[0] is not models.clip("s").networks[0]


def test_a_job_has_its_models_when_its_hold_is_ready() -> None:
    models = registry(catalog())
    pin, settled = ask(models, "m")
    assert settled.wait(60)
    assert pin.ready
    assert models.loaded() == ("pocket", "m")
    again, _ = ask(models, "m")
    assert again.ready


def test_the_least_recently_used_goes_first_when_room_is_needed() -> None:
    cards = catalog()
    models = registry(cards, model_bytes=bytes_of(cards, "m") + 2**20)
    for clip in ("m", "s"):
        pin, settled = ask(models, clip)
        assert settled.wait(60)
        assert pin.ready
        pin.release()
    assert models.loaded() == ("pocket", "s")


def test_a_model_in_use_stays_and_who_needs_its_room_waits_in_line() -> None:
    cards = catalog()
    models = registry(cards, model_bytes=bytes_of(cards, "m") + 2**20)
    first, first_settled = ask(models, "m")
    assert first_settled.wait(60)
    second, second_settled = ask(models, "s")
    assert not second_settled.wait(1)
    third, third_settled = ask(models, "m")
    assert not third_settled.wait(0.5), "a later job kept the room from one that waited"
    assert models.loaded() == ("m", "pocket")
    first.release()
    assert second_settled.wait(60)
    assert not third.ready
    second.release()
    assert third_settled.wait(60)
    assert third.ready


CATALOG = """
[models.pocket]
path = "POCKET/pocket"
clip = "m"
width = 64
height = 64
min_px = 64
max_px = 64
[models.other]
path = "POCKET/pocket"
clip = "m"
width = 64
height = 64
min_px = 64
max_px = 64
[clips.m]
path = "POCKET/pocket-m"
"""


def test_a_model_whose_entry_changed_is_loaded_again_once_its_jobs_have_ended(tmp_path: Path) -> None:
    shutil.copytree(POCKET, tmp_path / "tuned")
    file, text = tmp_path / "models.toml", CATALOG.replace("POCKET", str(ROOT / "models"))
    file.write_text(text)
    models = ModelRegistry(CatalogFile(file), Device(WorkerSettings(device="cpu")))
    running, settled = ask(models, "m")
    assert settled.wait(60)
    before = models.diffusion("pocket")
    file.write_text(text.replace("width", "description = 'words'\nsteps = 9\nwidth"))
    unchanged, _ = ask(models, "m")
    assert unchanged.ready, "only what is loaded counts"
    file.write_text(text.replace(str(POCKET), str(tmp_path / "tuned"), 1))
    later, later_settled = ask(models, "m")
    assert not later_settled.wait(0.5)
    assert models.diffusion("pocket") is before, "it was changed under a running job"
    running.release()
    assert not later_settled.wait(0.3)
    unchanged.release()
    assert later_settled.wait(60)
    assert later.error is None
    assert models.diffusion("pocket") is not before
    later.release()
    file.write_text(text[: text.index("[models.pocket]")] + text[text.index("[models.other]") :])
    gone, gone_settled = ask(models, "m")
    assert gone_settled.wait(60)
    assert isinstance(gone.error, UnknownModelError)
    assert gone.error.message == "'pocket' is not in the catalog; it holds: other"


def test_a_job_that_gives_up_waiting_lets_the_next_one_through() -> None:
    cards = catalog()
    models = registry(cards, model_bytes=bytes_of(cards, "m") + 2**20)
    _, settled = ask(models, "m")
    assert settled.wait(60)
    second, second_settled = ask(models, "s")
    assert not second_settled.wait(0.5)
    third, third_settled = ask(models, "m")
    second.release()
    assert third_settled.wait(60)
    assert third.ready


def test_models_beyond_the_limit_are_tried_when_nothing_else_is_held() -> None:
    models = registry(catalog(), model_bytes=1)
    pin, settled = ask(models, "m")
    assert settled.wait(60)
    assert pin.ready


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A copy of the pocket model with one bit of its VAE the wrong way round."""
    shutil.copytree(POCKET, tmp_path / "damaged")
    file = tmp_path / "damaged" / VAE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    return tmp_path / "damaged"


def test_a_file_that_is_not_the_pinned_one_is_refused_and_the_other_models_serve(damaged: Path) -> None:
    pin = {VAE: Digests().of(POCKET / VAE)}
    models = registry(catalog(model("pocket", POCKET, sha256=pin), model("damaged", damaged, sha256=pin)))
    broken, settled = ask(models, "m", "damaged")
    assert settled.wait(60)
    assert isinstance(broken.error, ModelUnavailableError)
    assert VAE in broken.error.message
    sound, settled = ask(models, "m")
    assert settled.wait(60)
    assert sound.ready


@pytest.mark.parametrize("fails", ["unknown", "gone"])
def test_what_cannot_be_loaded_fails_its_pin(fails: str, tmp_path: Path) -> None:
    models = registry(catalog(model("gone", tmp_path / "gone")))
    pin, settled = ask(models, "m", fails)
    assert settled.wait(60)
    assert pin.error is not None
    assert not pin.ready


def test_a_device_that_is_lost_while_a_model_is_loaded_is_no_fault_of_the_model(
    pocket_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Denoiser, "predict", lost)
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu"))).diffusion("pocket")


def test_a_library_that_finds_no_memory_while_a_model_is_loaded_says_so(
    pocket_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(Denoiser, "predict", full)
    with pytest.raises(OutOfMemoryError, match="pocket does not fit the device's memory"):
        ModelRegistry(pocket_catalog, Device(WorkerSettings(device="cpu"))).diffusion("pocket")
