"""Folders: who may read them, and by which path they go."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.stack.folders import (
    LONGEST_SOCKET_PATH,
    make_data_folder,
    make_private,
    spelled_in_utf8,
    takes_a_socket,
    temporary_folder,
)
from jobs.errors import ConfigurationError
from tests.app.hostile_names import HOSTILE_NAMES


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short and plain path, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("make", [make_private, make_data_folder])
def test_a_folder_of_ours_is_private_whether_it_is_new_or_was_open_before(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    for name in ("new", "old"):
        if name == "old":
            (tmp_path / name).mkdir()
            (tmp_path / name / "artifacts").mkdir()
            (tmp_path / name).chmod(0o755)
        make(tmp_path / name)
        assert mode(tmp_path / name) == 0o700


def test_a_data_folder_in_which_other_things_lie_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()
    make_data_folder(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file cannot be used: File exists"):
        make_private(tmp_path / "file")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_socket_lies_only_where_everybody_reads_its_path_alike(short: Path, name: str) -> None:
    assert takes_a_socket(short)
    if name.startswith(("file:", "#", "-", "a@")):
        return  # whether it may is nobody's harm
    (short / name).mkdir(parents=True)
    assert not takes_a_socket(short / name)


def test_a_socket_does_not_lie_where_its_path_is_too_long_or_no_socket_can_be_made(short: Path) -> None:
    deep = short / ("d" * (LONGEST_SOCKET_PATH - len(str(short))))
    deep.mkdir()
    assert not takes_a_socket(deep)
    assert not takes_a_socket(short / "missing")


def test_a_temporary_folder_is_private_and_goes_when_it_is_not_needed(short: Path) -> None:
    with temporary_folder() as folder:
        assert mode(folder) == 0o700
        assert takes_a_socket(folder)
    assert not folder.exists()


def test_where_the_folder_for_temporary_files_has_a_hostile_name_another_is_taken(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short / "a b"))
    with temporary_folder() as folder:
        assert " " not in str(folder)
    assert list((short / "a b").iterdir()) == []


def test_without_any_place_for_a_socket_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(ConfigurationError, match="set TMPDIR"), temporary_folder():
        pytest.fail("there was one")


def test_a_folder_whose_name_is_no_text_goes_by_a_link_whose_name_is(short: Path) -> None:
    folder = short / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with spelled_in_utf8(folder) as path:
        str(path).encode()
        (path / "file").touch()
        assert (folder / "file").exists()
    assert not path.exists()
    assert folder.exists()
    with spelled_in_utf8(short) as path:
        assert path == short
