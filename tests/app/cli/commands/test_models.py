"""The commands about the models of the catalog; tests/integration/test_added_model.py adds one."""

import json
import shutil
import stat
from pathlib import Path

import pytest

from app.cli.catalog_file import append_all
from jobs.catalog.catalog import load_catalog
from jobs.errors import ConfigurationError
from tests.app.conftest import Run
from tests.hub_server import Hosted, hub_of_this_process
from worker.models.adding.downloading import fetch
from worker.models.adding.repository import find
from worker.models.loading.digests import Digests

ROOT = Path(__file__).parents[4]

Out = pytest.CaptureFixture[str]
SIZE = "width = 64\nheight = 64\nmin_px = 64\nmax_px = 64\n"
CATALOG = f"""# mine

[models.one]
path = "one"
clip = "c"
text_clip = "t"
aliases = ["acme/one"]
{SIZE}
# The second.
[models.two]
path = "two"
clip = "c"
{SIZE}
[clips.c]
path = "c"

[clips.t]
path = "t"

[clips.spare]
path = "two/clip"

[adapters.ink]
path = "ink.safetensors"
base = ["acme/one"]

# The end.
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A catalog whose folders are there."""
    for name in ("one", "two", "c", "t"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text("{}")
    file = tmp_path / "models.toml"
    file.write_text(CATALOG)
    return file


def test_without_a_command_the_models_of_the_service_are_listed(run: Run, url: str, capsys: Out) -> None:
    assert run("models") == 0
    assert capsys.readouterr().out.startswith("pocket\t64x64\t")
    assert run("models", "--json", "--url", url) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == ["pocket", "big"]


def test_the_catalog_is_listed(run: Run, catalog: Path, capsys: Out) -> None:
    assert run("models", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"one\tsd\t64x64\t{catalog.parent / 'one'}\tc\tacme/one"
    assert [line.split("\t")[0] for line in lines] == ["one", "two", "c", "t", "spare"]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("one", "'one' cannot be removed while another entry names it: adapters.ink (base)"),
        ("acme/one", "'one' cannot be removed while another entry names it: adapters.ink (base)"),
        ("c", "'c' cannot be removed while another entry names it: models.one (clip), models.two (clip)"),
        ("t", "'t' cannot be removed while another entry names it: models.one (text_clip)"),
        ("none", "'none' is not in the catalog; it holds: one, two, c, t, spare"),
    ],
)
def test_an_entry_that_another_one_names_stays(
    run: Run, catalog: Path, capsys: Out, name: str, refused: str
) -> None:
    assert run("models", "remove", name, "--files") == 78
    assert capsys.readouterr().err == f"lodestar: {refused}\n"
    assert catalog.read_text() == CATALOG


def test_an_entry_is_removed_and_its_files_if_no_other_has_them(run: Run, catalog: Path, capsys: Out) -> None:
    catalog.chmod(0o640)
    link = catalog.with_name("link.toml")
    link.symlink_to(catalog)
    assert run("models", "remove", "two", "--files", "--models", str(link)) == 0
    assert f"kept {catalog.parent / 'two'}, which 'spare' has too" in capsys.readouterr().err
    assert run("models", "remove", "spare") == 0
    assert (catalog.parent / "two").is_dir()
    begin, end = CATALOG.index("# The second."), CATALOG.index("[clips.c]")
    spare = CATALOG[CATALOG.index("[clips.spare]") : CATALOG.index("[adapters.ink]")]
    assert catalog.read_text() == (CATALOG[:begin] + CATALOG[end:]).replace(spare, "")
    assert stat.S_IMODE(catalog.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert run("models", "remove", "one") == 78
    catalog.write_text(CATALOG.replace('base = ["acme/one"]\n', "").replace('"two/clip"', '"t/clip"'))
    assert run("models", "remove", "two", "--files") == 0
    assert not (catalog.parent / "two").exists()
    assert run("models", "remove", "one") == 78
    assert "'one' is the last of [models], and the catalog needs one" in capsys.readouterr().err


def test_a_folder_that_is_no_models_is_kept(run: Run, catalog: Path, capsys: Out) -> None:
    (catalog.parent / "two" / "model_index.json").unlink()
    catalog.write_text(CATALOG.replace('"two/clip"', '"t/clip"'))
    assert run("models", "remove", "two", "--files") == 0
    assert "which holds none of model_index.json" in capsys.readouterr().err
    assert (catalog.parent / "two").is_dir()


def test_entries_come_all_or_none_and_never_spoil_the_catalog(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    clip = ("clips", "vit-h.14", {"path": "c", "sha256": {"a b": "0" * 64}, "description": ""})
    model = ("models", "m", {"path": "m", "clip": "vit-h.14", "steps": 1, "cfg_scale": 1.0, "variant": None})
    sizes = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    with pytest.raises(ConfigurationError, match=r"names the CLIP 'vit-h\.14', which"):
        append_all(file, [(*model[:2], {**model[2], **sizes}), ("clips", "other", {"path": "c"})])
    assert not file.exists()
    append_all(file, [clip, (*model[:2], {**model[2], **sizes})])
    assert file.read_text().startswith('[clips."vit-h.14"]\npath = "c"\nsha256 = { "a b" = "000')
    (card,) = load_catalog(file).models
    assert (card.id, card.steps, card.cfg_scale) == ("m", 1, 1.0)
    before = file.read_text()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        append_all(file, [clip])
    assert file.read_text() == before


def test_files_of_the_hub_leave_the_cache_unless_another_entry_has_them(
    run: Run, tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "models" / "pocket-m", tmp_path / "repository")
    with hub_of_this_process(monkeypatch, tmp_path / "cache") as hub:
        hub.repositories["acme/clip"] = Hosted(tmp_path / "repository")
        repository = find("acme/clip", None)
        weights = fetch(repository, "open_clip_model.safetensors", Digests(), lambda *_: None)
    entry = f'hub = "acme/clip"\nrevision = "{repository.commit}"\n'
    (tmp_path / "models.toml").write_text(CATALOG + f"[clips.h1]\n{entry}[clips.h2]\n{entry}")
    said = []
    for name in ("h1", "h2"):
        assert run("models", "remove", name, "--files") == 0
        said.append(capsys.readouterr().err)
        assert weights.exists() == (name == "h1")
    assert f"kept acme/clip at {repository.commit[:10]}, which another entry has too" in said[0]
    assert f"removed acme/clip at {repository.commit[:10]} from the cache: 9.1M" in said[1]
