"""Reads the tensors of safetensors files once, straight into the device's memory and number format."""

import hashlib
import math
import mmap
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.loading.digests import Digests
from worker.models.loading.header import Entry, read_header
from worker.models.loading.staging import HALF_BYTES, Staging

# At a time: memory that the system has cleared just now is then still in the processor's cache.
READ_BYTES = 2**20


class Hashing:
    """The SHA-256 of a file, computed on a thread beside the reading; of no file that needs none."""

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        self._sum = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "hashing")

    def __enter__(self) -> "Hashing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=False, cancel_futures=error is not None)

    def update(self, part: memoryview) -> Future[None]:
        """Hash the next bytes of the file, which must not change before the result is there."""
        return self._thread.submit(self._sum.update, part)

    def then(self, keep: Callable[[str], None]) -> Future[None]:
        """Hand over the digest in hexadecimal digits once all bytes are hashed."""
        return self._thread.submit(lambda: keep(self._sum.hexdigest()))


def read_tensors(
    files: Iterable[Path],
    device: Device,
    digests: Digests,
    wanted: Callable[[str], bool] = lambda _: True,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """The tensors of files that together hold one network.

    Floats come in the device's format, whole numbers in their own. On a CPU, those that the file has in that format
    stay where the system keeps the file: nothing is copied, and workers share the memory. A file whose digest is not
    known is hashed in the same pass, on a thread that may go on after the answer: write to no tensor before its file's
    digest is known.

    Args:
        files: of the network.
        device: where to.
        digests: of files, to which those that are computed are added.
        wanted: by their names, which tensors to load.
        dtype: of floats; None for the device's.

    Raises:
        ModelUnavailableError: a file is damaged.
        RuntimeError: the device has no room for them; see ``is_out_of_memory``.
    """
    staging = Staging(device.device)
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= _read(file, dtype or device.dtype, digests, staging, wanted)
        except ModelUnavailableError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelUnavailableError(
                f"{file.parent.name}/{file.name} cannot be loaded: {error}"
            ) from error
    staging.finish()
    return tensors


def _read(
    file: Path, dtype: torch.dtype, digests: Digests, staging: Staging, wanted: Callable[[str], bool]
) -> dict[str, Tensor]:
    header = read_header(file)
    tensors: dict[str, Tensor] = {}
    with file.open("rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        with Hashing(needed=digests.known(status) is None) as hashing:
            pass_ = _Pass(stream, hashing, staging)
            pass_.skip(header.begin)
            for entry in header.entries:
                if wanted(entry.name):
                    tensors[entry.name] = pass_.load(
                        entry, dtype if entry.dtype.is_floating_point else entry.dtype
                    )
                else:
                    pass_.skip(entry.nbytes)
            if hashing.needed and _same(status, os.fstat(stream.fileno())):
                digests.expect(status, hashing.then(partial(digests.keep, status)))
    return tensors


class _Pass:
    """One pass over a file from its beginning to its end."""

    def __init__(self, stream: FileIO, hashing: Hashing, staging: Staging) -> None:
        self._stream, self._hashing, self._staging = stream, hashing, staging
        self._mapping: mmap.mmap | None = None

    def skip(self, size: int) -> None:
        """Pass over bytes that are not loaded."""
        if not self._hashing.needed:
            self._stream.seek(size, os.SEEK_CUR)
            return
        for begin in range(0, size, HALF_BYTES):
            self._fill(self._staging.take(min(HALF_BYTES, size - begin)), is_staged=True)

    def load(self, entry: Entry, dtype: torch.dtype) -> Tensor:
        """The tensor that comes next in the file."""
        begin = self._stream.tell()
        if self._staging.is_host and dtype == entry.dtype and entry.nbytes and begin % dtype.itemsize == 0:
            return self._mapped(entry, begin)
        target = self._staging.allocate(entry.shape, dtype)
        numbers = target.view(-1)
        each = HALF_BYTES // entry.dtype.itemsize
        for part in numbers.split(each) if len(numbers) else ():
            staged = self._staging.take(len(part) * entry.dtype.itemsize)
            self._fill(staged, is_staged=True)
            self._staging.send(staged.view(entry.dtype), part)
        return target

    def _mapped(self, entry: Entry, begin: int) -> Tensor:
        """A tensor whose memory is the system's copy of the file, which all processes share; changed by none."""
        if self._mapping is None:
            self._mapping = mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_COPY)
            self._mapping.madvise(mmap.MADV_WILLNEED)
        end = self._stream.seek(entry.nbytes, os.SEEK_CUR)
        if self._hashing.needed:
            self._hashing.update(memoryview(self._mapping)[begin:end])
        numbers = torch.frombuffer(
            self._mapping, dtype=entry.dtype, count=math.prod(entry.shape), offset=begin
        )
        return numbers.view(entry.shape)

    def _fill(self, target: Tensor, *, is_staged: bool) -> None:
        """Read the file's next bytes to a target [N] of bytes in host memory."""
        rest = memoryview(target.numpy())  # type: ignore[arg-type]
        while rest:
            block, rest = rest[:HALF_BYTES], rest[HALF_BYTES:]
            self._read(block)
            if self._hashing.needed:
                hashed = self._hashing.update(block)
                if is_staged:
                    self._staging.keep_until(hashed.result)

    def _read(self, rest: memoryview) -> None:
        while rest:
            count = self._stream.readinto(rest[:READ_BYTES])
            if not count:
                raise EOFError("the file ends within a tensor")
            rest = rest[count:]


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
