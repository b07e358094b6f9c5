"""Digests of files that survive a restart."""

import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.models.loading.digests import SMALL_BYTES, Digests

LONG_AGO_NS = 1_700_000_000_123_456_789


def weights(file: Path, seed: int = 0, *, mtime_ns: int = LONG_AGO_NS) -> str:
    """A file that is large enough to be remembered, and its digest."""
    content = bytes([seed]) * (SMALL_BYTES + 1)
    file.write_bytes(content)
    os.utime(file, ns=(mtime_ns, mtime_ns))
    return hashlib.sha256(content).hexdigest()


def is_read(digests: Digests, file: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether asking for a digest hashes the file."""
    with monkeypatch.context() as patch:
        patch.delattr(hashlib, "file_digest")
        try:
            digests.of(file)
        except AttributeError:
            return True
    return False


def test_a_digest_is_known_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, file = tmp_path / "cache" / "digests", tmp_path / "weights"
    expected = weights(file)
    assert Digests(kept).of(file) == expected
    again = Digests(kept)
    assert not is_read(again, file, monkeypatch)
    assert again.of(file) == expected


@pytest.mark.parametrize("change", ["content", "time", "replaced"])
def test_a_file_that_changed_is_hashed_again(change: str, tmp_path: Path) -> None:
    kept, file = tmp_path / "digests", tmp_path / "weights"
    weights(file)
    Digests(kept).of(file)
    if change == "content":
        expected = hashlib.sha256(file.read_bytes() + b"x").hexdigest()
        with file.open("ab") as stream:
            stream.write(b"x")
        os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))
    elif change == "time":
        expected = weights(file, 1, mtime_ns=LONG_AGO_NS + 1)
    else:
        expected = weights(tmp_path / "other", 2)
        (tmp_path / "other").replace(file)
    assert Digests(kept).of(file) == expected


def test_the_digest_of_a_file_that_may_still_be_written_is_not_kept(tmp_path: Path) -> None:
    kept, file = tmp_path / "digests", tmp_path / "weights"
    expected = weights(file, mtime_ns=time.time_ns())
    digests = Digests(kept)
    assert digests.of(file) == expected
    assert not kept.exists()


def test_damaged_lines_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, file = tmp_path / "digests", tmp_path / "weights"
    expected = weights(file)
    kept.write_bytes(b"1 2 3\n\xff\xfe\n1 2 3 4 " + b"z" * 64 + b"\n9 9 9 9 ab")
    Digests(kept).of(file)
    again = Digests(kept)
    assert not is_read(again, file, monkeypatch)
    assert again.of(file) == expected


def test_workers_that_store_at_once_lose_none_of_their_digests(tmp_path: Path) -> None:
    kept, files = tmp_path / "digests", [tmp_path / str(number) for number in range(16)]
    expected = [weights(file, number) for number, file in enumerate(files)]
    with ThreadPoolExecutor(8) as workers:
        assert list(workers.map(lambda file: Digests(kept).of(file), files)) == expected
    status = [file.stat() for file in files]
    assert [Digests(kept).known(each) for each in status] == expected
    assert all(re.fullmatch(r"(\d+ ){4}[0-9a-f]{64}", line) for line in kept.read_text().split("\n") if line)


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    file = tmp_path / "weights"
    expected = weights(file)
    assert Digests(tmp_path / "cache" / "digests").of(file) == expected
