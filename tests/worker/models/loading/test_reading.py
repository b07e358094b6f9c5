"""One pass over a file: into memory, into the format that is computed in, and through the hash."""

import gc
import hashlib
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.loading import reading, staging
from worker.models.loading.digests import Digests
from worker.models.loading.header import outline, read_header, read_shapes
from worker.models.loading.reading import read_tensors
from worker.settings import WorkerSettings

LONG_AGO_S = 1_700_000_000


@pytest.fixture
def device() -> Device:
    return Device(WorkerSettings(device="cpu", dtype="fp32"))


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    """Of all formats that files come in, of no numbers, of one and of many."""
    drawn = torch.randn(3000, generator=torch.Generator().manual_seed(0))
    return {
        "full": drawn.reshape(3, 1000),
        "half": drawn[:1001].half(),
        "brain": drawn[:77].bfloat16(),
        "double": drawn[:500].double(),
        "scalar": torch.tensor(2.6592),
        "none": torch.zeros(0, 4),
        "numbers": torch.arange(77)[None],
    }


@pytest.fixture
def file(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    os.utime(file, (LONG_AGO_S, LONG_AGO_S))
    return file


@pytest.fixture(params=[2**25, 64], ids=["at once", "in pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read at once, or many times as much as is held between."""
    for module in (reading, staging):
        monkeypatch.setattr(module, "HALF_BYTES", request.param)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_floats_come_in_the_format_that_is_computed_in(
    dtype: str, file: Path, tensors: dict[str, Tensor]
) -> None:
    device = Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype}))
    read = read_tensors([file], device, Digests())
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.to(device.dtype) if tensor.is_floating_point() else tensor)
        assert read[name].dtype == (device.dtype if tensor.is_floating_point() else tensor.dtype)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("wanted", ["full", "half", "numbers", "nothing"])
def test_a_file_is_hashed_in_the_same_pass_whatever_is_wanted_of_it(
    wanted: str, file: Path, tensors: dict[str, Tensor], device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = Digests()
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    read = read_tensors([file], device, digests, lambda name: name == wanted)
    assert read.keys() == tensors.keys() & {wanted}
    monkeypatch.delattr(hashlib, "file_digest")
    assert digests.known(file.stat()) == expected
    again = read_tensors([file], device, digests, lambda name: name == wanted)
    assert all(torch.equal(again[name], read[name]) for name in read)


def test_a_file_that_changes_while_it_is_read_has_no_digest(
    file: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, digests = reading.Hashing.update, Digests()

    def change(hashing: reading.Hashing, part: memoryview) -> object:
        os.utime(file)
        return real(hashing, part)

    before = file.stat()
    monkeypatch.setattr(reading.Hashing, "update", change)
    read_tensors([file], device, digests)
    assert digests.known(before) is None
    assert digests.known(file.stat()) is None


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_large_tensors_outlive_the_pass_and_hold_no_memory_of_each_other(dtype: str, tmp_path: Path) -> None:
    tensors = {name: torch.randn(2**20 + number) for number, name in enumerate(("one", "other"))}
    save_file(tensors, tmp_path / "model.safetensors")
    device = Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype}))
    read = read_tensors([tmp_path / "model.safetensors"], device, Digests())
    gc.collect()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.to(device.dtype))
        if dtype != "fp32":  # what is not the file's own memory
            assert read[name].untyped_storage().nbytes() == read[name].nbytes
            assert read[name].data_ptr() % 64 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory")
def test_numbers_in_the_format_of_the_device_lie_in_the_memory_of_the_file(
    tmp_path: Path, device: Device
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"all": torch.zeros(2**24), "whole": torch.arange(2**20)}, file)
    with Path("/proc/self/smaps_rollup").open() as before, Path("/proc/self/smaps_rollup").open() as after:
        own_before = _own_bytes(before.read())
        read = read_tensors([file], device, Digests())
        assert float(read["all"].sum()) == 0
        assert _own_bytes(after.read()) - own_before < 2**24


def _own_bytes(rollup: str) -> int:
    """Memory that a process shares with no other and with no file."""
    found = re.search(r"Anonymous:\s+(\d+) kB", rollup)
    assert found
    return 1024 * int(found[1])


def test_a_tensor_that_is_written_to_does_not_change_the_file(file: Path, device: Device) -> None:
    before = file.read_bytes()
    read_tensors([file], device, Digests())["full"].fill_(7)
    assert file.read_bytes() == before
    assert float(read_tensors([file], device, Digests())["full"].max()) < 7


def test_a_file_that_is_replaced_leaves_the_tensors_that_were_read(
    file: Path, tensors: dict[str, Tensor], device: Device, tmp_path: Path
) -> None:
    read = read_tensors([file], device, Digests())
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, tmp_path / "new")
    (tmp_path / "new").replace(file)
    assert all(torch.equal(read[name], tensor.to(read[name].dtype)) for name, tensor in tensors.items())


def test_a_header_tells_names_and_shapes(file: Path, tensors: dict[str, Tensor]) -> None:
    assert read_shapes(file) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    told = outline([file])
    assert all(told[name].dtype == tensor.dtype and told[name].is_meta for name, tensor in tensors.items())
    header = read_header(file)
    assert header.begin + sum(entry.nbytes for entry in header.entries) == file.stat().st_size


def test_a_file_that_ends_early_is_refused(file: Path, device: Device) -> None:
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        read_tensors([file], device, Digests())
