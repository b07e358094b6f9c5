"""Entries of the catalog are checked against their files."""

import shutil
from pathlib import Path

import pytest

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ClipCard, ModelCard
from jobs.errors import ModelUnavailableError, UnknownModelError
from tests.hub_server import Hub
from tests.worker.models.variants import POCKET
from worker.models.adding.checking import check, named
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
UNET = "unet/diffusion_pytorch_model.safetensors"


def test_the_shipped_models_are_right_and_say_what_they_need(pocket_catalog: Catalog) -> None:
    told = {card.id: check(card, pocket_catalog, CPU) for card in named(pocket_catalog, [])}
    assert told.keys() == {card.id for card in (*pocket_catalog.models, *pocket_catalog.clips)}
    for name in ("pocket", "pocket-inpaint", "pocket-edit"):
        assert told[name].startswith("Stable Diffusion 1.x and 2.x; its networks and CLIPs take 0.")
    assert told["pocket-xl"].startswith("Stable Diffusion XL; its networks and CLIPs take 0.")
    assert told["pocket-m"].endswith("M parameters")
    assert [card.id for card in named(pocket_catalog, ["pocket-m", "pocket"])] == ["pocket-m", "pocket"]
    with pytest.raises(UnknownModelError, match="'none' is not in the catalog; it holds: "):
        named(pocket_catalog, ["pocket", "none"])


def test_what_is_wrong_with_files_is_told(pocket_catalog: Catalog, hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(POCKET, tmp_path / "m")
    card, digests = pocket_catalog.model("pocket"), Digests()
    right = {UNET: digests.of(POCKET / UNET)}

    def refused(**changes: object) -> str:
        with pytest.raises(ModelUnavailableError) as error:
            check(
                ModelCard.model_validate({**dict(card), "path": tmp_path / "m", **changes}),
                pocket_catalog,
                CPU,
            )
        return error.value.message

    assert check(card.model_copy(update={"sha256": right}), pocket_catalog, CPU).endswith(
        "; digests right: 1"
    )
    assert refused(sha256={UNET: "0" * 64}) == f"{UNET} is not the file whose sha256 the catalog pins"
    assert refused(sha256={"unet/other": "0" * 64}) == "unet/other is not there"
    assert "it is of Stable Diffusion 1.x and 2.x, and the catalog says sdxl" in refused(family="sdxl")
    assert refused(path=tmp_path / "none") == f"{tmp_path / 'none'} does not exist"
    assert "acme/pocket at 0123456789 is not in" in refused(
        path=None, hub="acme/pocket", revision="0123456789" * 4
    )
    (tmp_path / "m" / UNET).write_bytes(b"short")
    assert "cannot be loaded" in refused()
    with pytest.raises(ModelUnavailableError, match=r"open_clip_config\.json"):
        check(ClipCard(id="c", path=tmp_path / "m"), pocket_catalog, CPU)
