"""The catalog of a running process, whose file changes."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.errors import ConfigurationError
from jobs.storage.files import write_whole

MORE = """
[models.more]
path = "more"
clip = "pocket-m"
width = 64
height = 64
min_px = 64
max_px = 64
"""


def ids(catalog: Catalog) -> list[str]:
    return [card.id for card in catalog.models]


def test_a_changed_file_counts_at_once_and_the_log_says_what_changed(models_file: Path) -> None:
    file = CatalogFile(models_file)
    read_at, before = file.read_at, file.now()
    assert file.now() is before
    with capture_logs() as logs:
        text = models_file.read_text().replace("cfg_scale = 4.0", "cfg_scale = 5.0")
        write_whole(models_file, (text + MORE).encode())
        assert ids(file.now()) == ["pocket", "big", "more"]
    assert file.read_at > read_at
    assert [(each["event"], each["added"], each["changed"]) for each in logs] == [
        ("catalog read again", ["more"], ["pocket"])
    ]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("[models", "models.toml cannot be read"),
        ("", "models.toml is wrong: models: Field required"),
        (None, "models.toml does not exist"),
        (MORE.replace("64", "65"), "models.toml is wrong: models"),
        (MORE + "aliases = ['pocket']", "both have the name 'pocket'"),
        ("\x00", "cannot be read"),
    ],
)
def test_a_change_that_is_wrong_leaves_the_former_catalog_until_it_is_mended(
    models_file: Path, broken: str | None, problem: str
) -> None:
    file, text = CatalogFile(models_file), models_file.read_text()
    if broken is None:
        models_file.unlink()
    else:
        models_file.write_text(text + broken if "more" in broken else broken)
    with capture_logs() as logs:
        assert ids(file.now()) == ids(file.now()) == ["pocket", "big"]
    assert file.problem is not None
    assert problem in file.problem
    assert str(models_file.parent) not in file.problem
    assert [each["event"] for each in logs] == ["catalog not read again; the former one counts"]
    models_file.write_text(text + MORE)
    assert ids(file.now()) == ["pocket", "big", "more"]
    assert file.problem is None


def test_another_aesthetic_scorer_takes_a_restart(models_file: Path) -> None:
    file = CatalogFile(models_file)
    models_file.write_text(models_file.read_text().replace('"models/pocket-s"', '"s"\nhead = "h"'))
    file.now()
    assert file.problem is not None
    assert "from 'pocket-m' to 'pocket-s', which takes a restart" in file.problem


def test_a_process_refuses_what_it_cannot_use(models_file: Path) -> None:
    def refuse(catalog: Catalog) -> None:
        if "more" in ids(catalog):
            raise ConfigurationError("no room for more")

    file = CatalogFile(models_file, refuse)
    models_file.write_text(models_file.read_text() + MORE)
    assert ids(file.now()) == ["pocket", "big"]
    assert file.problem == "no room for more"
    with pytest.raises(ConfigurationError, match="no room for more"):
        CatalogFile(models_file, refuse)


def test_a_link_that_changes_its_target_is_a_change(models_file: Path) -> None:
    other = models_file.with_name("other.toml")
    other.write_text(models_file.read_text() + MORE)
    link = models_file.with_name("link.toml")
    link.symlink_to(models_file)
    file = CatalogFile(link)
    fresh = link.with_name("fresh")
    fresh.symlink_to(other)
    fresh.replace(link)
    assert ids(file.now()) == ["pocket", "big", "more"]
