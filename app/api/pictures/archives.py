"""Zip files of finished pictures, written while they are sent."""

import io
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any, cast
from zipfile import ZipFile

from app.api.pictures.store_access import reaching_the_store
from app.api.services import Services


class _Sink(io.RawIOBase):
    """Takes what is written, once, and keeps none of it: there is no way back in a stream."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def archive_of(services: Services, keys: Sequence[str]) -> Iterator[bytes]:
    """A zip file of stored pictures, piece by piece: no more than one picture is in memory.

    Args:
        services: of whoever gets them.
        keys: of the pictures in the artifact store, ``JOB/EXECUTION/INDEX.png``.

    Returns:
        A piece for each picture, and the directory at the end.

    Raises:
        UnknownImageError: the file of the first is gone, or later that of another one.
        ArtifactsUnavailableError: the store cannot be reached; likewise.
    """
    pieces = _pieces(services, keys)
    return chain([next(pieces)], pieces)  # what is wrong with the store shows before an answer begins


def _pieces(services: Services, keys: Sequence[str]) -> Iterator[bytes]:
    sink = _Sink()
    with ZipFile(cast("IO[bytes]", sink), "w") as folder:  # stored as they are: PNGs do not get smaller
        for key in keys:
            with reaching_the_store():
                png = services.artifacts.get(key)
            folder.writestr(_name(key), services.delivery.file(png))
            yield sink.take()
    yield sink.take()


def _name(key: str) -> str:
    job_id, *_, file = key.split("/")
    return f"{job_id}-{file}"
