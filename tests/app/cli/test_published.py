"""Published files, fetched from a real server on this machine."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from app.cli import published as assets
from app.cli.published import Asset, DownloadError, find_assets, load_groups, pull
from jobs.errors import ConfigurationError
from tests.app.conftest import Run

DATA = b"an embedding" * 1000
SHARED = Path(__file__).parents[4] / "shared" / "data" / "aesthetic"


class Publisher(ThreadingHTTPServer):
    """Serves ``DATA`` under every name, as the first part of the path says; counts what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        way = self.path.split("/")[1]
        is_cut = way == "cut" or (way == "cut-once" and self.server.asked[self.path] == 1)
        if way == "moved":
            self.send_response(302)
            self.send_header("Location", self.path.replace("moved", "whole"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(404 if way == "missing" else 200)
        data = b"another file" if way == "other" else DATA
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if is_cut else data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def asset(publisher: Publisher) -> Callable[[str], Asset]:
    """A file as it is served in one of the ways above."""

    def served(way: str) -> Asset:
        return Asset("group/a+b.pt", f"{publisher.url}/{way}/a%2Bb.pt", hashlib.sha256(DATA).hexdigest())

    return served


def files(folder: Path) -> list[Path]:
    """Everything in a folder, hidden files too."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_fetched_once(
    publisher: Publisher, http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    whole = asset("whole")
    assert pull(whole, tmp_path, http)
    assert (tmp_path / "group" / "a+b.pt").read_bytes() == DATA
    assert not pull(whole, tmp_path, http)
    assert publisher.asked == {"/whole/a%2Bb.pt": 1}
    assert files(tmp_path) == [tmp_path / "group" / "a+b.pt"]


def test_a_file_that_was_damaged_on_the_disk_is_fetched_again(
    http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    path = tmp_path / "group" / "a+b.pt"
    path.parent.mkdir()
    path.write_bytes(DATA[:-1])
    assert pull(asset("whole"), tmp_path, http)
    assert path.read_bytes() == DATA


def test_a_file_that_has_moved_is_followed(
    http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    assert pull(asset("moved"), tmp_path, http)
    assert (tmp_path / "group" / "a+b.pt").read_bytes() == DATA


def test_another_file_than_the_published_one_is_refused_and_leaves_nothing(
    publisher: Publisher, http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"another file").hexdigest()
    with pytest.raises(DownloadError, match=f"not the file that was published: its SHA-256 is {digest}"):
        pull(asset("other"), tmp_path, http)
    assert files(tmp_path) == []
    assert publisher.asked.total() == 1  # asking again would not help


def test_a_refused_file_does_not_take_the_place_of_the_one_before(
    http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    path = tmp_path / "group" / "a+b.pt"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError):
        pull(asset("other"), tmp_path, http)
    assert path.read_bytes() == b"mine"


def test_a_connection_that_is_cut_once_is_made_again(
    publisher: Publisher, http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    assert pull(asset("cut-once"), tmp_path, http)
    assert (tmp_path / "group" / "a+b.pt").read_bytes() == DATA
    assert publisher.asked.total() == 2


def test_a_connection_that_is_cut_every_time_fails_and_leaves_nothing(
    publisher: Publisher, http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="cannot be fetched"):
        pull(asset("cut"), tmp_path, http)
    assert files(tmp_path) == []
    assert publisher.asked.total() == assets.ATTEMPTS


def test_a_file_that_is_not_there_is_named(
    http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=r"/missing/a%2Bb\.pt answers 404"):
        pull(asset("missing"), tmp_path, http)
    assert files(tmp_path) == []


def test_an_endless_file_is_given_up(
    http: httpx.Client, asset: Callable[[str], Asset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "MAX_BYTES", 100)
    with pytest.raises(DownloadError, match="larger than"):
        pull(asset("whole"), tmp_path, http)
    assert files(tmp_path) == []


def test_the_command_fetches_the_files_of_a_list_and_prints_their_paths(
    run: Run, publisher: Publisher, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    own = tmp_path / "own.toml"
    group = '[{}]\ndescription = "Some."\nlicence = "MIT"\nurl = "{}/{}"\nsha256 = {{ "a.pt" = "{}" }}\n'
    own.write_text("".join(group.format(way, publisher.url, way, digest) for way in ("whole", "other")))
    assert run("assets", "pull", "whole", "--list", "own.toml") == 0
    assert capfd.readouterr().out == "data/assets/whole/a.pt\n"
    assert Path("data/assets/whole/a.pt").read_bytes() == DATA
    assert run("assets", "pull", "--list", "own.toml", "--to", "here") == 1
    said = capfd.readouterr()
    assert said.out == "here/whole/a.pt\n"
    assert "is not the file that was published" in said.err.splitlines()[-1]
    assert run("assets", "pull", "nothing", "--list", "own.toml") == 1
    assert "there is no asset 'nothing'; the groups are whole, other" in capfd.readouterr().err
    assert run("assets", "list", "--list", "own.toml") == 0
    assert capfd.readouterr().out == "whole/a.pt\nother/a.pt\n"


@pytest.mark.parametrize(
    "line",
    [
        'sha256 = { "../a.pt" = "' + "0" * 64 + '" }',
        'sha256 = { "a.pt" = "123" }',
        "sha256 = 1",
        "",
    ],
)
def test_a_list_that_makes_no_sense_is_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "list.toml"
    file.write_text(f'[group]\ndescription = "x"\nlicence = "x"\nurl = "https://example.com"\n{line}\n')
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_groups(file)


def test_the_list_pins_every_published_file_to_one_commit() -> None:
    groups = load_groups()
    for group in groups.values():
        assert any(len(part) == 40 for part in group.url.split("/"))
        assert group.url.startswith("https://")
    found = find_assets((), groups)
    assert len(found) == len({asset.url for asset in found}) == 34
    (head,) = find_assets(["laion-v2/sac+logos+ava1-l14-linearMSE.pth"], groups)
    assert head.url.endswith("/sac%2Blogos%2Bava1-l14-linearMSE.pth")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published files in ../shared/data/aesthetic")
def test_the_digests_are_those_of_the_published_files() -> None:
    folders = {
        "aesthetic-gradients": "aesthetic-gradients",
        "laion-v1": "laion-v1",
        "laion-v2": "laion-v2",
        "ratings-vit-b-32": "laion-v1/vit_b_32_embeddings",
        "ratings-vit-l-14": "laion-v1/vit_l_14_embeddings",
    }
    compared = 0
    for asset in find_assets((), load_groups()):
        group, _, name = asset.name.partition("/")
        file = SHARED / folders[group] / name
        if file.is_file():
            compared += 1
            assert hashlib.sha256(file.read_bytes()).hexdigest() == asset.sha256, asset.name
    assert compared == 32
