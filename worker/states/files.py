"""States as files: safetensors, with all else as JSON in a tensor of bytes. Nothing that is read can run code.

A file has the name of its own digest, so a damaged one is known.
"""

import hashlib

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from worker.states.state import JobState

_JSON = "state"
_SUFFIX = ".safetensors"


class InvalidStateError(ValueError):
    """A file does not hold a state that this version can read."""


def dump(state: JobState) -> bytes:
    """The file of a state."""
    tensors: dict[str, Tensor] = {}
    text = state.model_dump_json(context=tensors).encode()
    tensors[_JSON] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    return save(tensors)


def file_name(data: bytes) -> str:
    """The name of a file with these bytes."""
    return hashlib.sha256(data).hexdigest() + _SUFFIX


def read(data: bytes, name: str) -> JobState:
    """The state in a file.

    Args:
        data: its bytes.
        name: of the file.

    Raises:
        InvalidStateError: it is damaged, or of another version.
    """
    if file_name(data) != name:
        raise InvalidStateError("its bytes are not those that its name tells of")
    try:
        tensors = load(data)
        return JobState.model_validate_json(tensors.pop(_JSON).numpy().tobytes(), context=tensors)
    except (SafetensorError, KeyError) as error:
        raise InvalidStateError(f"it is no file of a state: {error}") from error
    except ValidationError as error:
        raise InvalidStateError(f"its state is of another version: {error.error_count()} errors") from error
