"""Loads an adapter."""

import json
import math
from pathlib import Path

from safetensors import safe_open

from jobs.catalog.adapters import AdapterCard
from jobs.errors import ModelUnavailableError
from worker.models.adapters.factors import Adapter
from worker.models.adapters.files import factors_of, require_low_rank, scalings_of
from worker.models.device import Device
from worker.models.failures import is_out_of_memory
from worker.models.loading.digests import Digests
from worker.models.loading.files import require_pinned
from worker.models.loading.header import read_header
from worker.models.loading.hub import fetch
from worker.models.loading.layout import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from worker.models.loading.reading import read_tensors

MAX_BYTES = 2**31


def load_adapter(card: AdapterCard, device: Device, digests: Digests) -> Adapter:
    """Load an adapter of the catalog, fetched from the hub if it names one.

    Raises:
        ModelUnavailableError: as for ``read_adapter`` and ``fetch``, or it is not the file that is pinned.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    path = fetch(card) if card.path is None else card.path
    adapter = read_adapter(card.id, path / (card.file or ""), device, digests)
    try:
        require_pinned(card, path, digests)
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"adapter {card.id}: {error.message}") from error
    return adapter


def read_adapter(name: str, path: Path, device: Device, digests: Digests) -> Adapter:
    """Read an adapter: a .safetensors file, or a folder that diffusers or PEFT has written.

    Args:
        name: that it gets, for messages too.
        path: of the file or the folder.
        device: for its factors.
        digests: of files.

    Raises:
        ModelUnavailableError: its file is missing, damaged, too large, or no LoRA.
        RuntimeError: it does not fit the device's memory; see ``is_out_of_memory``.
    """
    try:
        file = file_of(path)
        require_low_rank(entry.name for entry in read_header(file).entries)
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        config = file.parent / ADAPTER_CONFIG
        scalings = scalings_of(metadata, json.loads(config.read_text()) if config.is_file() else None)
        return Adapter(name, digests.of(file), factors_of(read_tensors([file], device, digests), scalings))
    except ModelUnavailableError as error:
        raise ModelUnavailableError(f"adapter {name}: {error.message}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelUnavailableError(f"adapter {name}: {path.name} cannot be loaded: {error}") from error


def adapter_parameters(card: AdapterCard) -> int:
    """Number of the parameters of an adapter, from the header of its file; 0 if that cannot be read."""
    try:
        file = file_of((fetch(card) if card.path is None else card.path) / (card.file or ""))
        return sum(math.prod(entry.shape) for entry in read_header(file).entries)
    except Exception:
        return 0  # loading it will say what is wrong


def file_of(path: Path) -> Path:
    """The file of an adapter.

    Args:
        path: it, or the folder that holds it.

    Raises:
        ModelUnavailableError: there is none, it is not a .safetensors file, or it is too large.
    """
    file = path
    if path.is_dir():
        file = next(
            (path / name for name in ADAPTER_WEIGHTS if (path / name).is_file()), path / ADAPTER_WEIGHTS[0]
        )
    if not file.is_file():
        raise ModelUnavailableError(f"{file} does not exist")
    if file.suffix != ".safetensors":
        raise ModelUnavailableError(
            f"{file.name} is not a .safetensors file; other formats can run code when they are read"
        )
    if file.stat().st_size > MAX_BYTES:
        raise ModelUnavailableError(f"{file.name} has more than {MAX_BYTES >> 30} GiB")
    return file
