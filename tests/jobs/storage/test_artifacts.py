"""One suite for every kind of store: a local folder, and S3 as moto's server speaks it over HTTP."""

import errno
import multiprocessing
import os
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import s3fs

from jobs.errors import ConfigurationError, UnknownImageError
from jobs.storage.artifacts import ArtifactStore

PICTURE = bytes(range(256)) * 300
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> ArtifactStore:
    """An empty store in a local folder."""
    return ArtifactStore(str(tmp_path))


class TestEveryStore:
    def test_it_gives_back_what_was_put(self, store: ArtifactStore) -> None:
        store.put("job/1-ab/0.png", PICTURE)
        assert store.get("job/1-ab/0.png") == PICTURE

    def test_an_empty_file_is_a_file(self, store: ArtifactStore) -> None:
        store.put("job/0.png", b"")
        assert store.get("job/0.png") == b""
        assert store.keys("job") == ["job/0.png"]

    def test_the_second_of_two_files_of_one_key_stays(self, store: ArtifactStore) -> None:
        store.put("job/0.png", PICTURE)
        store.put("job/0.png", b"shorter")
        assert store.get("job/0.png") == b"shorter"

    @pytest.mark.parametrize("key", ["job/1.png", "other/0.png", "job", "job/0.png/0"])
    def test_what_is_not_there_is_an_unknown_picture(self, store: ArtifactStore, key: str) -> None:
        store.put("job/0.png", PICTURE)
        with pytest.raises(UnknownImageError):
            store.get(key)

    def test_keys_are_those_under_a_prefix_and_not_of_a_namesake(self, store: ArtifactStore) -> None:
        expected = [f"job1/{fence}/{index}.png" for fence in ("1-ab", "2-cd") for index in range(2)]
        for key in [*expected, "job10/1-ab/0.png", "job/0.png"]:
            store.put(key, b"")
        assert store.keys("job1") == expected
        assert store.keys("job1/2-cd") == expected[2:]
        assert store.keys("nobody") == []

    def test_deleting_takes_all_under_a_prefix_and_nothing_else(self, store: ArtifactStore) -> None:
        for key in ("job1/1-ab/0.png", "job1/1-ab/1.png", "job1/2-cd/0.png", "job10/1-ab/0.png"):
            store.put(key, PICTURE)
        store.delete("job1/1-ab")
        assert store.keys("job1") == ["job1/2-cd/0.png"]
        store.delete("job1")
        assert store.keys("job1") == []
        assert store.keys("job10") == ["job10/1-ab/0.png"]

    def test_deleting_nothing_is_fine(self, store: ArtifactStore) -> None:
        store.delete("nobody")
        store.put("job/0.png", PICTURE)
        store.delete("job")
        store.delete("job")

    def test_a_deleted_key_may_be_put_again(self, store: ArtifactStore) -> None:
        store.put("job/0.png", PICTURE)
        store.delete("job")
        store.put("job/0.png", b"new")
        assert store.get("job/0.png") == b"new"

    def test_what_others_write_is_seen_at_once(self, url: str) -> None:
        writer, reader = ArtifactStore(url), ArtifactStore(url)
        writer.put("job/0.png", b"0")
        assert reader.keys("job") == ["job/0.png"]
        writer.put("job/1.png", b"1")
        assert reader.get("job/1.png") == b"1"
        assert reader.keys("job") == ["job/0.png", "job/1.png"]
        writer.delete("job")
        assert reader.keys("job") == []

    @pytest.mark.parametrize(
        "key", ["", "/", "/etc/passwd", "..", "../x", "job/../../x", "job/..", ".", "job/.x", ".x/y"]
    )
    def test_a_key_that_could_lead_elsewhere_is_refused(self, store: ArtifactStore, key: str) -> None:
        for use in (store.get, store.keys, store.delete, lambda key: store.put(key, b"")):
            with pytest.raises(ValueError, match="is not a key"):
                use(key)

    def test_a_reader_sees_one_writer_s_whole_file(self, store: ArtifactStore) -> None:
        contents = [bytes([number]) * 200_000 for number in range(4)]
        store.put("job/0.png", contents[0])
        done = threading.Event()

        def read() -> list[bytes]:
            seen = []
            while not done.is_set():
                seen.append(store.get("job/0.png"))
            return seen

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            writers = [pool.submit(store.put, "job/0.png", content) for content in contents * 4]
            for writer in writers:
                writer.result()
            done.set()
        assert all(picture in contents for reader in readers for picture in reader.result())
        assert store.keys("job") == ["job/0.png"]

    def test_concurrent_deletions_leave_nothing(self, store: ArtifactStore) -> None:
        for index in range(20):
            store.put(f"job/{index % 4}/{index}.png", b"")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store.delete, ["job"] * 4))
        assert store.keys("job") == []

    @FORKS
    def test_a_fork_may_go_on_using_it(self, store: ArtifactStore) -> None:
        store.put("job/0.png", PICTURE)
        child = multiprocessing.get_context("fork").Process(target=store.put, args=("job/1.png", b"child"))
        child.start()
        child.join(timeout=30)
        assert child.exitcode == 0
        assert store.get("job/1.png") == b"child"


class TestFolder:
    def test_files_lie_under_their_keys(self, folder: ArtifactStore, tmp_path: Path) -> None:
        folder.put("job/1-ab/0.png", PICTURE)
        assert (tmp_path / "job" / "1-ab" / "0.png").read_bytes() == PICTURE

    @pytest.mark.parametrize("scheme", ["file://", "local://", ""])
    def test_its_url_may_name_the_scheme(self, tmp_path: Path, scheme: str) -> None:
        ArtifactStore(f"{scheme}{tmp_path}/").put("job/0.png", b"x")
        assert (tmp_path / "job" / "0.png").read_bytes() == b"x"

    def test_a_relative_one_stays_where_it_was_when_the_process_moves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = ArtifactStore("pictures")
        store.put("job/0.png", b"x")
        monkeypatch.chdir("/")
        assert store.get("job/0.png") == b"x"
        assert store.keys("job") == ["job/0.png"]

    def test_its_name_is_read_as_no_url_even_where_it_looks_like_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        for url in ("./zip::s3", str(tmp_path / "a::b://c"), "*[ab]", "~/pictures", "a#b?c%20d"):
            store = ArtifactStore(url)
            store.put("job/0.png", b"x")
            assert store.keys("job") == ["job/0.png"]
            store.delete("job")
            assert store.keys("job") == []
        found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
        assert found == ["*[ab]", "a#b?c%20d", "a::b:", "a::b:/c", "home", "home/pictures", "zip::s3"]

    @pytest.mark.parametrize(
        ("rights", "folders", "files"),
        [(0o700, 0o700, 0o600), (0o750, 0o750, 0o640), (0o755, 0o755, 0o644), (0o711, 0o755, 0o644)],
    )
    def test_who_may_not_look_into_it_may_read_nothing_in_it(
        self, tmp_path: Path, rights: int, folders: int, files: int
    ) -> None:
        root = tmp_path / "artifacts"
        root.mkdir()
        root.chmod(rights)
        umask = os.umask(0o022)
        try:
            ArtifactStore(str(root)).put("job/1-ab/0.png", b"x")
        finally:
            os.umask(umask)
        modes = {path.name: path.stat().st_mode & 0o777 for path in root.rglob("*")}
        assert modes == {"job": folders, "1-ab": folders, "0.png": files}

    @FORKS
    def test_a_full_disk_leaves_no_partial_file(self, folder: ArtifactStore, tmp_path: Path) -> None:
        """The limit of a file's size fails a write in its middle, as a full disk does."""
        folder.put("job/0.png", b"old")
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            try:
                folder.put("job/0.png", PICTURE)
            except OSError as error:
                os._exit(0 if error.errno == errno.EFBIG else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert folder.get("job/0.png") == b"old"
        assert [file.name for file in (tmp_path / "job").iterdir()] == ["0.png"]

    def test_what_a_killed_writer_left_is_no_key_and_goes_with_the_job(
        self, folder: ArtifactStore, tmp_path: Path
    ) -> None:
        folder.put("job/0.png", PICTURE)
        (tmp_path / "job" / ".1.png.0123abcd.partial").write_bytes(b"half")
        assert folder.keys("job") == ["job/0.png"]
        folder.delete("job")
        assert list(tmp_path.iterdir()) == []


class TestS3:
    def test_a_bucket_that_is_missing_is_made(self, s3: str) -> None:
        store = ArtifactStore("s3://new-bucket/deep/prefix")
        store.put("job/0.png", PICTURE)
        assert store.get("job/0.png") == PICTURE

    def test_a_store_that_is_away_is_an_os_error(self, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        try:
            store = ArtifactStore("s3://pictures")
            for use in (store.get, store.keys, store.delete, lambda key: store.put(key, b"")):
                with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
                    use("job/0.png")
        finally:
            s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("url", ["nonsense://x", "http+nonsense://x"])
def test_a_url_that_nothing_can_open_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="nonsense"):
        ArtifactStore(url)


def test_a_new_file_is_stored_once_whoever_tries(store: ArtifactStore) -> None:
    store.put_new("a/b/one.bin", b"first")
    with pytest.raises(FileExistsError):
        store.put_new("a/b/one.bin", b"second")
    assert store.get("a/b/one.bin") == b"first"
    assert store.keys("a") == ["a/b/one.bin"]
    store.delete("a/b/one.bin")
    store.put_new("a/b/one.bin", b"third")
    assert store.get("a/b/one.bin") == b"third"


def test_of_many_who_store_one_new_file_at_once_one_succeeds(folder: ArtifactStore) -> None:
    def store(number: int) -> bool:
        try:
            folder.put_new("a/one.bin", bytes([number]))
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        succeeded = list(pool.map(store, range(16)))
    assert succeeded.count(True) == 1
    assert folder.get("a/one.bin") == bytes([succeeded.index(True)])
    assert folder.keys("a") == ["a/one.bin"]


def test_a_store_that_can_signs_an_address_that_needs_no_credentials(store: ArtifactStore, url: str) -> None:
    assert store.can_sign is url.startswith("s3:")
    if store.can_sign:
        store.put("a/0.png", b"a picture")
        address = store.signed_address("a/0.png", 60)
        assert httpx.get(address).content == b"a picture"
        assert "X-Amz-Expires=60" in address or "Expires=" in address
