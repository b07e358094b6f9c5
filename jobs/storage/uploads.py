"""The pictures that callers upload: content-addressed, each caller's own, and kept for some time."""

import secrets
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from redis import Redis

from jobs.db import keys
from jobs.db.connection import translates_redis_errors
from jobs.db.scripts import Scripts
from jobs.db.times import instant
from jobs.errors import UnknownImageError, UnknownUploadError, UploadsFullError
from jobs.requests.uploads import Upload
from jobs.storage.artifacts import ArtifactStore

FOLDER = "uploads"
MAX_UPLOADS = 1000
"""Of one caller."""
CALLERS = 16
"""All callers together may take as many bytes as so many of them."""


@dataclass(frozen=True)
class Png:
    """A picture as it is stored.

    Attributes:
        data: a PNG file of ours, with nothing but pixels in it.
        digest: SHA-256 of the file.
        width: in pixels.
        height: likewise.
    """

    data: bytes
    digest: str
    width: int
    height: int


class UploadLibrary:
    """The uploads of all callers, each of whom sees only its own. Callers are named by any text.

    All methods raise QueueUnavailableError when Redis cannot be reached or refuses to write.
    """

    def __init__(self, redis: Redis, artifacts: ArtifactStore, *, keep_s: float, max_bytes: int) -> None:
        """Make one.

        Args:
            redis: holds the records.
            artifacts: holds the files.
            keep_s: seconds that an upload is kept.
            max_bytes: that the files of one caller may take together.
        """
        self._redis = redis
        self._tenant = ""
        self._scripts = Scripts(redis)
        self._artifacts = artifacts
        self._keep_s = keep_s
        self._max_bytes = max_bytes

    def seen_by(self, tenant: str) -> "UploadLibrary":
        """The same library as a tenant sees it; empty for the default one."""
        seen = copy(self)
        seen._tenant = tenant
        return seen

    @translates_redis_errors
    def keep(self, caller: str, png: Png, name: str = "") -> tuple[Upload, bool]:
        """Keep a picture, or keep it longer; and whether the caller did not have it before.

        Raises:
            UploadsFullError: too many uploads are kept, or they take too many bytes.
            OSError: the artifact store cannot be reached, is full, or refuses.
        """
        # A name of its own for each file: what removes an expired one never removes that of a new upload.
        place = f"{FOLDER}/{self._owner(caller)}/{png.digest}-{secrets.token_hex(4)}.png"
        is_new = self._record("expect", caller, png, place, name) == "expected"
        if is_new:
            self._artifacts.put(place, png.data)
            is_new = self._record("keep", caller, png, place, name) == "kept"
        return self.get(caller, png.digest), is_new

    @translates_redis_errors
    def get(self, caller: str, digest: str) -> Upload:
        """An upload.

        Raises:
            UnknownUploadError: the caller has none of this digest.
        """
        return _upload(digest, self._read(caller, digest))

    @translates_redis_errors
    def data(self, caller: str, digest: str) -> bytes:
        """The PNG file of an upload.

        Raises:
            UnknownUploadError: the caller has none of this digest.
            OSError: the artifact store cannot be reached.
        """
        record = self._read(caller, digest)
        try:
            return self._artifacts.get(record["place"])
        except UnknownImageError as error:
            # Deleted meanwhile, or lost in the store: then it must be possible to upload it again.
            self._scripts("drop_upload", self._owner(caller), digest)
            raise _unknown(digest) from error

    @translates_redis_errors
    def list(self, caller: str) -> tuple[Upload, ...]:
        """All uploads of a caller, the last ones to expire first."""
        owner = self._owner(caller)
        digests = cast("list[str]", self._redis.zrevrange(keys.uploads_of(owner), 0, -1))
        with self._redis.pipeline(transaction=False) as pipeline:
            for digest in digests:
                pipeline.hgetall(keys.upload(owner, digest))
            records = pipeline.execute()
        return tuple(
            _upload(digest, record) for digest, record in zip(digests, records, strict=True) if record
        )

    @translates_redis_errors
    def delete(self, caller: str, digest: str) -> None:
        """Delete an upload. Jobs that name it keep their own copies.

        Raises:
            UnknownUploadError: the caller has none of this digest.
        """
        place = self._scripts("drop_upload", self._owner(caller), digest)
        if not place:
            raise _unknown(digest)
        with suppress(OSError):  # the retention sweep tries again
            self._artifacts.delete(place)

    def _owner(self, caller: str) -> str:
        """A caller in keys and paths."""
        return sha256(keys.of_tenant(caller, self._tenant).encode()).hexdigest()[:32]

    def _read(self, caller: str, digest: str) -> dict[str, str]:
        record = cast("dict[str, str]", self._redis.hgetall(keys.upload(self._owner(caller), digest)))
        if not record:
            raise _unknown(digest)
        return record

    def _record(self, step: str, caller: str, png: Png, place: str, name: str) -> str:
        outcome: str = self._scripts(
            "keep_upload",
            self._owner(caller),
            png.digest,
            step,
            place,
            int(self._keep_s * 1e6),
            MAX_UPLOADS,
            self._max_bytes,
            CALLERS * self._max_bytes,
            len(png.data),
            png.width,
            png.height,
            name,
        )
        self._require_room(outcome)
        return outcome

    def _require_room(self, outcome: str) -> None:
        if outcome == "many":
            raise UploadsFullError(
                f"{MAX_UPLOADS} uploads are kept for you already, and no more may be; delete some, or wait until "
                "some expire"
            )
        if outcome == "heavy":
            raise UploadsFullError(
                f"your uploads may take {self._max_bytes} bytes together, and this one would exceed that; delete some, "
                "or wait until some expire"
            )
        if outcome == "full":
            raise UploadsFullError(
                "the uploads of all callers take as many bytes as they may; try again later"
            )


def _upload(digest: str, record: dict[str, str]) -> Upload:
    return Upload(
        id=f"sha256:{digest}",
        name=record["name"],
        width=int(record["width"]),
        height=int(record["height"]),
        bytes=int(record["bytes"]),
        created_at=instant(int(record["created_us"])),
        expires_at=instant(int(record["expires_us"])),
    )


def _unknown(digest: str) -> UnknownUploadError:
    return UnknownUploadError(
        f"you have no upload sha256:{digest}: it was deleted, or has expired, or never was"
    )
