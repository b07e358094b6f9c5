"""Finding models, and refusing what could run code."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ConfigurationError, ModelUnavailableError
from tests.worker.conftest import ROOT
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.models.loading.diffusion import load_diffusion
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))


class Payload:
    """Unpickling this touches a file: what a hostile checkpoint would do."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.touched,))


def model_card(path: Path) -> ModelCard:
    return ModelCard(id="evil", path=path, clip="c", width=64, height=64, min_px=64, max_px=64)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin", ".pth"])
def test_a_pickled_checkpoint_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    touched, file = tmp_path / "touched", tmp_path / f"model{suffix}"
    file.write_bytes(pickle.dumps(Payload(touched)))
    with pytest.raises(ModelUnavailableError, match="safetensors"):
        load_diffusion(model_card(file), CPU)
    assert not touched.exists()


def test_a_pickle_that_is_called_safetensors_is_refused_unread(tmp_path: Path) -> None:
    touched, file = tmp_path / "touched", tmp_path / "model.safetensors"
    file.write_bytes(pickle.dumps(Payload(touched)))
    with pytest.raises(ModelUnavailableError):
        load_diffusion(model_card(file), CPU)
    assert not touched.exists()


def test_a_folder_whose_weights_are_pickles_is_refused_unread(tmp_path: Path) -> None:
    touched, folder = tmp_path / "touched", tmp_path / "model"
    shutil.copytree(ROOT / "models" / "pocket", folder)
    weights = folder / "unet" / "diffusion_pytorch_model"
    weights.with_suffix(".safetensors").unlink()
    weights.with_suffix(".bin").write_bytes(pickle.dumps(Payload(touched)))
    with pytest.raises(ModelUnavailableError):
        load_diffusion(model_card(folder), CPU)
    assert not touched.exists()


def test_a_clip_whose_weights_are_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    touched, folder = tmp_path / "touched", tmp_path / "clip"
    shutil.copytree(ROOT / "models" / "pocket-m", folder)
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Payload(touched)))
    with pytest.raises(ModelUnavailableError, match="safetensors"):
        load_clip(ClipCard(id="evil", path=folder), CPU)
    assert not touched.exists()


def test_truncated_weights_are_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "models" / "pocket", folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        load_diffusion(model_card(folder), CPU)


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="does not exist"):
        load_diffusion(model_card(tmp_path / "nothing"), CPU)


def test_a_clip_knows_the_size_of_its_input() -> None:
    clip = load_clip(ClipCard(id="pocket-m", path=ROOT / "models" / "pocket-m"), CPU)
    assert clip.px == 48
    assert clip.embed_text("a red apple").norm() == pytest.approx(1)


def test_fp16_on_a_cpu_and_cuda_without_a_device_are_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="fp16"):
        Device(WorkerSettings(device="cpu", dtype="fp16"))
    with pytest.raises(ConfigurationError, match="nonsense"):
        Device(WorkerSettings(device="nonsense"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="CUDA"):
            Device(WorkerSettings(device="cuda:0"))


def test_attention_falls_back_to_sdpa_where_xformers_cannot_run() -> None:
    assert Device(WorkerSettings(device="cpu", attention="xformers")).attention == "sdpa"
    assert Device(WorkerSettings(device="cpu")).attention == "sdpa"
