"""Reads a few rows of a matrix in a file of the hub, which is not fetched for it."""

import torch
from huggingface_hub import HfApi, get_session, hf_raise_for_status
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.adding.repository import Repository, headers, hub_errors
from worker.models.loading.header import DTYPES, LENGTH_BYTES


def remote_rows(repository: Repository, name: str, key: str, begin: int, end: int) -> Tensor:
    """Rows [end - begin, D] of a matrix in a safetensors file, as float32.

    Raises:
        ModelUnavailableError: the file has no such rows.
        DownloadError: the hub cannot be asked, or sends something else.
    """
    with hub_errors(repository.id, repository.commit):
        tensor = (
            HfApi()
            .parse_safetensors_file_metadata(repository.id, name, revision=repository.commit)
            .tensors[key]
        )
        length = _read(repository.url(name), 0, LENGTH_BYTES)
        dtype, (count, width) = DTYPES[tensor.dtype], tensor.shape
        if end > count:
            raise ModelUnavailableError(f"{key} in {name} has {count} rows")
        first = LENGTH_BYTES + int.from_bytes(length, "little") + tensor.data_offsets[0]
        row = width * dtype.itemsize
        content = _read(repository.url(name), first + begin * row, (end - begin) * row)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(end - begin, width).to(torch.float32)


def _read(url: str, begin: int, count: int) -> bytes:
    answer = get_session().get(
        url, headers={**headers(), "Range": f"bytes={begin}-{begin + count - 1}"}, follow_redirects=True
    )
    hf_raise_for_status(answer)
    if len(answer.content) != count:
        raise OSError(f"{len(answer.content)} bytes came where {count} were asked for")
    content: bytes = answer.content
    return content
