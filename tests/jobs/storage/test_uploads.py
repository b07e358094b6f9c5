"""The uploads of callers, in every kind of store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.errors import UnknownUploadError, UploadsFullError
from jobs.queue.retention import Retention
from jobs.storage import uploads
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import JobFiles
from jobs.storage.uploads import Png, UploadLibrary

DAY_S = 86_400


def png(data: bytes = b"a picture") -> Png:
    return Png(data, sha256(data).hexdigest(), 30, 20)


@pytest.fixture
def library(redis: Redis, store: ArtifactStore) -> UploadLibrary:
    return UploadLibrary(redis, store, keep_s=DAY_S, max_bytes=1000)


@pytest.fixture
def sweep(redis: Redis, store: ArtifactStore) -> Callable[[], int]:
    return Retention(redis, JobFiles(store), keep_s=0).sweep


def let_expire(redis: Redis) -> None:
    """Let the life of every upload be over."""
    for key in redis.scan_iter(f"{PREFIX}upload*", _type="zset"):
        for member in redis.zrange(key, 0, -1):
            redis.zadd(str(key), {str(member): 1})


def nothing_is_left(redis: Redis, store: ArtifactStore) -> bool:
    return store.keys("uploads") == [] and not list(redis.scan_iter(f"{PREFIX}upload*"))


def test_an_upload_is_its_callers_and_nobody_elses(library: UploadLibrary) -> None:
    upload, is_new = library.keep("ann", png(), "cat.png")
    assert is_new
    assert upload.id == f"sha256:{png().digest}"
    assert (upload.name, upload.width, upload.height, upload.bytes) == ("cat.png", 30, 20, 9)
    assert upload.expires_at - upload.created_at == timedelta(days=1)
    assert library.get("ann", png().digest) == upload
    assert library.data("ann", png().digest) == b"a picture"
    assert library.list("ann") == (upload,)
    for other in ("", "bob", "Ann"):
        assert library.list(other) == ()
        for ask in (library.get, library.data, library.delete):
            with pytest.raises(UnknownUploadError):
                ask(other, png().digest)
    assert library.data("ann", png().digest) == b"a picture"


def test_the_same_picture_again_is_the_same_upload_and_lives_longer(
    library: UploadLibrary, store: ArtifactStore
) -> None:
    first, _ = library.keep("ann", png(), "cat.png")
    again, is_new = library.keep("ann", png(), "dog.png")
    assert not is_new
    assert (again.id, again.name, again.created_at) == (first.id, "cat.png", first.created_at)
    assert again.expires_at > first.expires_at
    assert len(store.keys("uploads")) == 1
    assert library.keep("bob", png())[1]
    assert len(store.keys("uploads")) == 2


def test_the_last_to_expire_is_listed_first(library: UploadLibrary) -> None:
    for data in (b"1", b"2", b"3"):
        library.keep("ann", png(data))
    library.keep("ann", png(b"1"))
    assert [each.id for each in library.list("ann")] == [
        f"sha256:{png(data).digest}" for data in (b"1", b"3", b"2")
    ]


def test_a_deleted_upload_is_gone_at_once_and_counts_no_more(
    library: UploadLibrary, redis: Redis, store: ArtifactStore, sweep: Callable[[], int]
) -> None:
    library.keep("ann", png())
    library.delete("ann", png().digest)
    with pytest.raises(UnknownUploadError):
        library.get("ann", png().digest)
    assert nothing_is_left(redis, store)
    library.keep("ann", png())
    sweep()  # of the first one's file
    assert library.data("ann", png().digest) == b"a picture"


def test_an_expired_upload_is_swept_with_its_file(
    library: UploadLibrary, redis: Redis, store: ArtifactStore, sweep: Callable[[], int]
) -> None:
    library.keep("ann", png())
    library.keep("bob", png(b"another"))
    assert sweep() == 0
    let_expire(redis)
    assert library.keep("ann", png())[1] is False
    assert sweep() == 2  # a record and a file
    assert library.data("ann", png().digest) == b"a picture"
    with pytest.raises(UnknownUploadError):
        library.get("bob", png(b"another").digest)
    let_expire(redis)
    sweep()
    assert nothing_is_left(redis, store)


def test_a_file_whose_upload_was_not_recorded_is_collected(
    library: UploadLibrary, redis: Redis, store: ArtifactStore, sweep: Callable[[], int]
) -> None:
    def lost(key: str, data: bytes) -> None:
        ArtifactStore.put(store, key, data)
        raise OSError("the process dies here")

    store.put = lost  # type: ignore[method-assign]
    with pytest.raises(OSError, match="dies here"):
        library.keep("ann", png())
    assert library.list("ann") == ()
    assert len(store.keys("uploads")) == 1
    (place,) = redis.zrange(PREFIX + "orphans", 0, -1)
    redis.zadd(PREFIX + "orphans", {str(place): 1})
    assert sweep() == 1
    assert nothing_is_left(redis, store)


def test_an_upload_whose_file_is_lost_is_none_and_can_be_sent_again(
    library: UploadLibrary, store: ArtifactStore
) -> None:
    library.keep("ann", png())
    store.delete("uploads")
    with pytest.raises(UnknownUploadError):
        library.data("ann", png().digest)
    assert library.keep("ann", png())[1]
    assert library.data("ann", png().digest) == b"a picture"


def test_the_uploads_of_one_caller_have_a_limit_of_bytes(
    library: UploadLibrary, store: ArtifactStore
) -> None:
    library.keep("ann", png(bytes(600)))
    with pytest.raises(UploadsFullError, match="1000 bytes together"):
        library.keep("ann", png(bytes(401)))
    assert len(store.keys("uploads")) == 1  # refused before it is stored
    library.keep("ann", png(bytes(400)))
    library.keep("ann", png(bytes(600)))  # is there already
    library.keep("bob", png(bytes(600)))
    library.delete("ann", png(bytes(600)).digest)
    library.keep("ann", png(bytes(599)))


def test_the_uploads_of_one_caller_have_a_limit_of_number(
    library: UploadLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 3)
    for number in range(3):
        library.keep("ann", png(bytes([number])))
    with pytest.raises(UploadsFullError, match="3 uploads"):
        library.keep("ann", png(b"one more"))
    library.keep("bob", png(b"one more"))


def test_the_uploads_of_all_callers_have_a_limit_whatever_names_they_have(
    redis: Redis, store: ArtifactStore
) -> None:
    library = UploadLibrary(redis, store, keep_s=DAY_S, max_bytes=10)
    for number in range(uploads.CALLERS):
        library.keep(f"caller {number}", png(bytes(10)))
    with pytest.raises(UploadsFullError, match="all callers"):
        library.keep("one more", png(bytes(10)))


def test_of_many_who_upload_the_same_at_once_all_have_it(
    library: UploadLibrary, redis: Redis, store: ArtifactStore, sweep: Callable[[], int]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: library.keep("ann", png()), range(16)))
    assert sum(is_new for _, is_new in kept) == 1
    assert library.data("ann", png().digest) == b"a picture"
    assert redis.hvals(PREFIX + "upload_bytes") == ["9", "9"]  # of the caller, and of all
    for place in redis.zrange(PREFIX + "orphans", 0, -1):
        redis.zadd(PREFIX + "orphans", {str(place): 1})
    sweep()
    assert len(store.keys("uploads")) == 1
