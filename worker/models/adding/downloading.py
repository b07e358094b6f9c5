"""Fetches large files into the hub's ordinary cache, so that they survive an interruption and are what they claim.

`huggingface_hub` begins a file anew in each process and compares no digest, so weights are fetched here: by ranges,
into `blobs/<SHA-256>.incomplete`, from where the next run goes on. Once whole and compared, a file is put where
`huggingface_hub` finds it by its digest.
"""

import errno
import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx
from huggingface_hub import constants

from jobs.errors import ConfigurationError
from worker.models.adding.reporting import Progress
from worker.models.adding.repository import DownloadError, RemoteFile, Repository, headers
from worker.models.loading.digests import Digests

TRIES = 6  # without a byte between them
PAUSE_S = 0.5  # before the second; doubled before each further one
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
SPARE_BYTES = 64 << 20  # that stay free beside what is fetched
MOST_IN_GIT = 32 << 20
_LATER = {408, 429, 500, 502, 503, 504}


def missing_bytes(repository: Repository, names: Iterable[str]) -> int:
    """How much of files is not in the cache yet."""
    missing = 0
    for name in names:
        file = repository.files[name]
        if file.sha256 is not None and not (repository.blobs / file.sha256).exists():
            partial = _partial(repository, file.sha256)
            missing += max(0, file.size - (partial.stat().st_size if partial.exists() else 0))
    return missing


def require_disk(wanted: int) -> None:
    """Refuse a download that the disk of the cache has no room for.

    Raises:
        DownloadError: it has not.
    """
    cache = Path(constants.HF_HUB_CACHE)
    there = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if wanted and wanted + SPARE_BYTES > free:
        raise DownloadError(
            f"{size_of(wanted)} are to be fetched to {cache}, where {size_of(free)} are free: make room, or set "
            "HF_HOME to a folder on another disk"
        )


def fetch(repository: Repository, name: str, digests: Digests, progress: Progress) -> Path:
    """A file of a repository in the cache, whole, with its digest compared.

    Raises:
        DownloadError: it cannot be fetched, or is not what the hub says that it is; what was fetched is kept for the
            next time, unless it is wrong.
        ConfigurationError: it may not be read.
    """
    file = repository.files[name]
    if file.sha256 is None:
        return _small(repository, name, file)
    blob = repository.blobs / file.sha256
    if blob.exists() and digests.of(blob) != file.sha256:
        blob.unlink()  # damaged on this disk
    if not blob.exists():
        _fetch_large(repository, name, file.sha256, digests, progress)
    return repository.cached(name)


def size_of(count: int) -> str:
    """Bytes as people write them: ``4.3 GB``."""
    for unit, power in (("GB", 10**9), ("MB", 10**6)):
        if count >= power:
            return f"{count / power:.1f} {unit}"
    return f"{count / 1000:.0f} kB"


def _small(repository: Repository, name: str, file: RemoteFile) -> Path:
    """A file that git keeps, whose id is the SHA-1 of its content."""
    path = repository.cached(name)
    if file.size > MOST_IN_GIT:
        return path  # of a mirror that tells no SHA-256
    content = path.read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if file.blob_id not in (None, digest):
        path.resolve().unlink()
        raise DownloadError(f"{repository.id}: {name} arrived damaged; run the command again")
    return path


def _fetch_large(
    repository: Repository, name: str, sha256: str, digests: Digests, progress: Progress
) -> None:
    partial, size = _partial(repository, sha256), repository.files[name].size
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial, name) as stream:
            _fill(repository, name, size, stream, progress)
            stream.flush()
            if (found := digests.of(partial)) != sha256:
                partial.unlink()
                raise DownloadError(
                    f"{repository.id}: {name} is not the file that the hub lists: its SHA-256 is {found}, not "
                    f"{sha256}; run the command again"
                )
            partial.replace(repository.blobs / sha256)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadError(
                f"the disk of {partial.parent} is full; make room, and run it again"
            ) from error
        raise DownloadError(f"{partial} cannot be written: {error.strerror or error}") from error


def _partial(repository: Repository, sha256: str) -> Path:
    return repository.blobs / f"{sha256}.incomplete"


@contextmanager
def _alone(partial: Path, name: str) -> Iterator[BinaryIO]:
    """A file to be filled, which no other process fills meanwhile."""
    with partial.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"another process is fetching {name} just now; wait for it") from error
        yield stream


def _fill(repository: Repository, name: str, size: int, stream: BinaryIO, progress: Progress) -> None:
    """Fetch what is missing at the end of a file, and go on after interruptions."""
    if stream.tell() > size:
        stream.truncate(0)
    failures, before = 0, stream.seek(0, 2)
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as http:
        while (there := stream.seek(0, 2)) < size:
            try:
                _go_on(http, repository, name, there, size, stream, progress)
                problem = "the answer ended early"
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if (now := stream.seek(0, 2)) >= size:
                break
            failures, before = (1 if now > before else failures + 1), now
            if failures >= TRIES:
                raise DownloadError(
                    f"{repository.id}: {name} broke off at {size_of(now)} of {size_of(size)} ({problem}); run the "
                    "command again to go on from there"
                )
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def _go_on(
    http: httpx.Client,
    repository: Repository,
    name: str,
    there: int,
    size: int,
    stream: BinaryIO,
    progress: Progress,
) -> None:
    """Append what the hub sends from a place on. httpx keeps the token from other hosts that the hub refers to."""
    asked = {**headers(), "Accept-Encoding": "identity"}
    if there:
        asked["Range"] = f"bytes={there}-"
    with http.stream("GET", repository.url(name), headers=asked) as answer:
        if answer.status_code in _LATER:
            raise httpx.TransportError(f"the hub answers {answer.status_code}")
        if answer.is_error:
            repository.require(name)
            raise ConfigurationError(
                f"{repository.id}: the hub answers {answer.status_code} for {name}: "
                f"{answer.headers.get('X-Error-Message', answer.reason_phrase)}"
            )
        if there and answer.status_code == 200:  # it knows no ranges
            stream.truncate(0)
            there = 0
        elif there and not answer.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
            raise httpx.TransportError("another part came than the one that was asked for")
        for (
            chunk
        ) in answer.iter_raw():  # as it comes: what is gathered first would be lost with the connection
            stream.write(chunk[: size - there])
            there = min(size, there + len(chunk))
            progress(name, there, size)
            if there == size:
                return
