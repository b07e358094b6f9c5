"""What the documentation shows of catalogs, keys files and requests is valid."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jobs.callers.key_file import KeyFile
from jobs.catalog.catalog import load_catalog
from jobs.requests.request import GenerateRequest
from tests.blocks import ROOT, Block, blocks

HERE = [block for block in blocks() if block.is_run_here]
OF_KEYS = ("docs/quotas.md", "docs/security.md")
CLIP = {"hub": "example/clip", "revision": "0" * 40}
# What a block may name without telling all of it again.
STUBS: dict[str, Any] = {
    "models": {
        "sd15": {**CLIP, "clip": "vit-h-14", "width": 512, "height": 512, "min_px": 256, "max_px": 1024}
    },
    "clips": {"vit-h-14": CLIP, "vit-l-14": CLIP},
}


def of(language: str) -> list[Any]:
    found = [block for block in HERE if block.language == language]
    assert found
    return [pytest.param(block, id=f"{Path(block.page).stem}-{number}") for number, block in enumerate(found)]


def filled(text: str) -> str:
    """With real values where a page has dots."""
    text = text.replace('revision = "..."', f'revision = "{"0" * 40}"').replace('hub = "..."', 'hub = "a/b"')
    return re.sub(r'= "\.\.\."', f'= "{"0" * 64}"', text).replace('"sha256:..."', f'"sha256:{"0" * 64}"')


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = base | more
    return both | {
        key: merged(base[key], more[key]) for key in base.keys() & more.keys() if isinstance(base[key], dict)
    }


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize("block", of("toml"))
def test_a_catalog_or_a_keys_file_of_a_page_is_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    if block.page in OF_KEYS:
        file.write_text(filled(block.code))
        keys = KeyFile(file)
        assert [*keys.list(), *keys.tenants()]
        return
    shipped = tomllib.loads((ROOT / "models.toml").read_text())
    shown = tomllib.loads(filled(block.code))
    tables = merged(merged(shipped, STUBS), shown)
    lines = [f"{name} = {written(table)}" for name, table in tables.items()]
    file.write_text("\n".join(lines))
    catalog = load_catalog(file)
    for table, entries in shown.items():
        known = {entry.id for entry in getattr(catalog, table)}
        assert entries.keys() <= known


@pytest.mark.parametrize("block", of("json"))
def test_a_request_of_a_page_is_one(block: Block) -> None:
    request = {"prompt": "a red apple", **json.loads(filled(block.code))}
    assert GenerateRequest.model_validate(request).prompt


def test_the_catalog_of_the_first_picture_on_a_gpu_stands_alone(tmp_path: Path) -> None:
    (code,) = [block.code for block in HERE if "cat > sd15.toml" in block.code]
    file = tmp_path / "sd15.toml"
    file.write_text(re.findall(r"<<'END'\n(.*?)^END$", code, re.S | re.M)[0])
    catalog = load_catalog(file)
    assert [card.id for card in catalog.models] == ["sd15"]
    assert catalog.clip(catalog.model(None).clip).hub is not None
