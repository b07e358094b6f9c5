"""Large files come whole, or go on from where they broke off."""

import os
from pathlib import Path

import huggingface_hub.constants
import pytest

from jobs.errors import ConfigurationError, LodestarError
from tests.hub_server import Hosted, Hub, sha256
from worker.models.adding.downloading import TRIES, fetch, missing_bytes, require_disk
from worker.models.adding.repository import DownloadError, Repository, find
from worker.models.loading.digests import Digests

SIZE = 1_000_000
LARGE = "unet/w.safetensors"


@pytest.fixture
def repository(hub: Hub, tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    (folder / "unet").mkdir(parents=True)
    (folder / LARGE).write_bytes(os.urandom(SIZE))
    (folder / "config.json").write_text("{}")
    hub.repositories["acme/big"] = Hosted(folder)
    return find("acme/big", None)


def ignore(name: str, done: int, total: int) -> None:
    pass


def content(repository: Repository, hub: Hub) -> bytes:
    return (hub.repositories[repository.id].folder / LARGE).read_bytes()


def test_a_branch_and_a_tag_are_pinned_to_their_commit(hub: Hub, repository: Repository) -> None:
    commit = hub.repositories["acme/big"].commit
    assert {find("acme/big", each).commit for each in (None, "main", "v1", commit)} == {commit}
    assert repository.files[LARGE].size == SIZE
    assert repository.files[LARGE].sha256 == sha256(content(repository, hub))


def test_it_lands_in_the_cache_once_and_its_token_stays_with_the_hub(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    told: list[tuple[str, int, int]] = []

    def note(name: str, done: int, total: int) -> None:
        told.append((name, done, total))

    path = fetch(repository, LARGE, Digests(), note)
    assert path.read_bytes() == content(repository, hub)
    assert path == repository.snapshot / LARGE
    assert told[-1] == (LARGE, SIZE, SIZE)
    assert fetch(repository, LARGE, Digests(), ignore) == path
    assert hub.stored == [(None, None)]
    assert fetch(repository, "config.json", Digests(), ignore).read_text() == "{}"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, repository: Repository) -> None:
    hub.breaks = [300_000, 200_000]
    path = fetch(repository, LARGE, Digests(), ignore)
    assert path.read_bytes() == content(repository, hub)
    begins = [int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0 for asked, _ in hub.stored]
    assert len(begins) == 3
    assert 0 == begins[0] < begins[1] < begins[2] < SIZE


def test_after_too_many_failures_the_next_run_goes_on(hub: Hub, repository: Repository) -> None:
    hub.breaks, hub.refuses = [400_000], 0
    hub.stored.clear()

    def refuse(name: str, done: int, total: int) -> None:
        hub.refuses = TRIES

    with pytest.raises(
        DownloadError, match=r"acme/big: unet/w.safetensors broke off at .* run the command again to"
    ):
        fetch(repository, LARGE, Digests(), refuse)
    there = SIZE - missing_bytes(repository, [LARGE])
    assert 0 < there < SIZE
    hub.refuses = 0
    assert fetch(repository, LARGE, Digests(), ignore).read_bytes() == content(repository, hub)
    assert hub.stored[-1][0] == f"bytes={there}-"
    assert missing_bytes(repository, [LARGE]) == 0


def test_a_store_that_knows_no_ranges_begins_anew(hub: Hub, repository: Repository) -> None:
    hub.breaks, hub.knows_ranges = [300_000], False
    assert fetch(repository, LARGE, Digests(), ignore).read_bytes() == content(repository, hub)


def test_what_is_left_of_another_file_is_not_taken_for_it(hub: Hub, repository: Repository) -> None:
    repository.blobs.mkdir(parents=True)
    partial = repository.blobs / f"{repository.files[LARGE].sha256}.incomplete"
    partial.write_bytes(b"x" * 1000)
    with pytest.raises(
        DownloadError, match=r"unet/w.safetensors is not the file that the hub lists: its SHA-256 is"
    ):
        fetch(repository, LARGE, Digests(), ignore)
    assert not partial.exists()
    partial.write_bytes(b"x" * (SIZE + 1))
    assert fetch(repository, LARGE, Digests(), ignore).read_bytes() == content(repository, hub)


def test_a_file_that_arrives_damaged_is_refused_and_fetched_anew(hub: Hub, repository: Repository) -> None:
    digest = str(repository.files[LARGE].sha256)
    hub.damaged.add(digest)
    with pytest.raises(DownloadError, match=f"not {digest}"):
        fetch(repository, LARGE, Digests(), ignore)
    hub.damaged.clear()
    path = fetch(repository, LARGE, Digests(), ignore)
    path.resolve().write_bytes(b"spoilt on the disk")
    assert fetch(repository, LARGE, Digests(), ignore).read_bytes() == content(repository, hub)


def test_two_processes_do_not_fill_one_file(hub: Hub, repository: Repository) -> None:
    def meddle(name: str, done: int, total: int) -> None:
        if done < total:
            with pytest.raises(ConfigurationError, match=r"another process is fetching unet/w.safetensors"):
                fetch(repository, LARGE, Digests(), ignore)

    fetch(repository, LARGE, Digests(), meddle)


def test_room_on_the_disk_is_looked_at_first(hub: Hub, repository: Repository) -> None:
    hub.repositories["acme/big"].claimed[LARGE] = 10**18
    wanted = missing_bytes(find("acme/big", None), [LARGE])
    with pytest.raises(
        DownloadError, match=r"1000000000.0 GB are to be fetched to .* make room, or set HF_HOME"
    ):
        require_disk(wanted)
    require_disk(missing_bytes(repository, [LARGE]))


@pytest.mark.parametrize(
    ("hub_id", "revision", "refused"),
    [
        ("acme/none", None, "there is no acme/none at http://127.0.0.1:.*, or it is private"),
        ("acme/big", "v9", "acme/big has no revision 'v9'"),
        ("acme/..", None, "no id of the hub"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    hub_id: str, revision: str | None, refused: str, repository: Repository
) -> None:
    with pytest.raises(ConfigurationError, match=refused) as error:
        find(hub_id, revision)
    assert "\n" not in error.value.message


def test_a_gated_repository_says_what_to_do(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["acme/big"].token = "hf_right"
    for token, refused in (
        ("", "accept its terms, and set HF_TOKEN"),
        ("hf_wrong", "your token has no access"),
    ):
        monkeypatch.setenv("HF_TOKEN", token)
        for name in (LARGE, "config.json"):
            with pytest.raises(
                ConfigurationError, match=f"acme/big is gated: {refused}.* at {hub.url}/acme/big"
            ):
                fetch(repository, name, Digests(), ignore)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert fetch(repository, LARGE, Digests(), ignore).exists()


def test_a_hub_that_cannot_be_reached_is_told_in_a_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        LodestarError, match=r"acme/big cannot be fetched from http://127.0.0.1:9: .*refused"
    ) as error:
        find("acme/big", None)
    assert "\n" not in error.value.message
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        find("acme/big", None)
