"""What is fetched from a hub, by a server of our own that speaks its protocol."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import huggingface_hub.constants
import pytest
import torch
from diffusers import T2IAdapter
from safetensors.torch import save_file

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.controls import ControlCard
from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from tests.worker.models.families import checkpoints
from tests.worker.models.families.checkpoints import written
from worker.models.adapters.loading import adapter_parameters, load_adapter
from worker.models.controls.loading import control_parameters, load_control
from worker.models.device import Device
from worker.models.loading.diffusion import load_diffusion
from worker.models.loading.digests import Digests
from worker.models.loading.layout import ADAPTER_WEIGHTS
from worker.settings import WorkerSettings

REVISION = "0123456789" * 4
CARD = ModelCard.model_validate(
    {
        "id": "m",
        "hub": "example/m",
        "revision": REVISION,
        "clip": "c",
        "width": 32,
        "height": 32,
        "min_px": 32,
        "max_px": 32,
    }
)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Serves one repository from a folder, and counts what is fetched."""

    folder: ClassVar[Path]
    fetched: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self.answer(content=False)

    def do_GET(self) -> None:
        self.answer(content=True)

    def answer(self, *, content: bool) -> None:
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = {file.relative_to(self.folder).as_posix(): file for file in files}
        if "/tree/" in self.path:
            tree = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": digest(file.read_bytes())}
                for name, file in names.items()
            ]
            body = json.dumps(tree).encode()
        elif self.path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in names]
            body = json.dumps({"id": "example/m", "sha": REVISION, "siblings": siblings}).encode()
        else:
            name = self.path.removeprefix(f"/example/m/resolve/{REVISION}/")
            body = names[name].read_bytes()
            if content:
                self.fetched.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{digest(body)}"')
        self.end_headers()
        if content:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    class Own(Hub):
        folder, fetched = tmp_path / "repository", []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield Own
    server.shutdown()
    server.server_close()
    thread.join()


def load() -> object:
    return load_diffusion(CARD, Device(WorkerSettings(device="cpu", dtype="fp32")))


def test_of_a_repository_that_no_family_serves_one_file_is_fetched(hub: type[Hub]) -> None:
    written(checkpoints.stable_diffusion_xl, hub.folder)
    index = hub.folder / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionXLPipeline", "StableDiffusion3Pipeline"))
    with pytest.raises(ModelUnavailableError, match="m: example/m: it is a StableDiffusion3Pipeline"):
        load()
    assert hub.fetched == ["model_index.json"]


def test_of_one_that_is_served_the_files_that_are_read_are_fetched_once(hub: type[Hub]) -> None:
    written(checkpoints.stable_diffusion, hub.folder)
    (hub.folder / "v1-5-pruned.safetensors").write_bytes(b"gigabytes")
    load()
    load()
    assert len(hub.fetched) == len(set(hub.fetched))
    assert "unet/diffusion_pytorch_model.safetensors" in hub.fetched
    assert "v1-5-pruned.safetensors" not in hub.fetched


def test_of_a_controls_repository_its_folder_is_fetched(hub: type[Hub]) -> None:
    adapter = T2IAdapter(channels=[32, 64], num_res_blocks=1, downscale_factor=2)
    adapter.save_pretrained(hub.folder, variant="fp16")
    adapter.save_pretrained(hub.folder)
    (hub.folder / "image.png").write_bytes(b"megabytes")
    card = ControlCard(id="edges", hub="example/m", revision=REVISION, variant="fp16")
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    assert control_parameters(card) == sum(each.numel() for each in adapter.parameters())
    assert load_control(card, device, Digests()).id == "edges"
    assert sorted(hub.fetched) == ["config.json", "diffusion_pytorch_model.fp16.safetensors"]


@pytest.mark.parametrize(
    ("file", "fetched"), [(None, ADAPTER_WEIGHTS[0]), ("styles/ink.safetensors", "styles/ink.safetensors")]
)
def test_of_an_adapters_repository_its_file_is_fetched(
    file: str | None, fetched: str, hub: type[Hub]
) -> None:
    (hub.folder / "styles").mkdir(parents=True)
    factors = {"unet.conv.lora_A.weight": torch.ones(2, 4), "unet.conv.lora_B.weight": torch.ones(3, 2)}
    for name in (ADAPTER_WEIGHTS[0], "styles/ink.safetensors"):
        save_file(factors, hub.folder / name)
    (hub.folder / "model.safetensors").write_bytes(b"gigabytes")
    (hub.folder / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 4}')
    pinned = {fetched: digest((hub.folder / fetched).read_bytes())}
    card = AdapterCard(id="ink", hub="example/m", revision=REVISION, file=file, sha256=pinned)
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    assert adapter_parameters(card) == 14
    adapter = load_adapter(card, device, Digests())
    assert adapter.parts["unet"]["conv"].rank == 2
    assert sorted(hub.fetched) == ([fetched] if file else ["adapter_config.json", fetched])
    other = card.model_copy(update={"sha256": {fetched: "0" * 64}})
    with pytest.raises(ModelUnavailableError, match=r"adapter ink: .* is not the file whose sha256"):
        load_adapter(other, device, Digests())
    missing = card.model_copy(update={"file": "none.safetensors", "sha256": {}})
    with pytest.raises(ModelUnavailableError, match=r"ink: example/m: it holds no none\.safetensors"):
        load_adapter(missing, device, Digests())
