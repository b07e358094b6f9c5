"""Weights on their way to a CUDA device, beside kernels that run there."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from worker.models.device import Device
from worker.models.loading import reading, staging
from worker.models.loading.digests import Digests
from worker.models.loading.reading import read_tensors
from worker.settings import WorkerSettings


@pytest.mark.parametrize("half_bytes", [2**25, 2**12], ids=["at once", "in pieces"])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_weights_arrive_on_the_device_as_a_copy_would_bring_them(
    dtype: str, half_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reading, staging):
        monkeypatch.setattr(module, "HALF_BYTES", half_bytes)
    device = Device(WorkerSettings.model_validate({"device": "cuda", "dtype": dtype}))
    tensors = {str(size): torch.randn(size) for size in (1, 1000, 1023, 2**18)}
    save_file(tensors, tmp_path / "model.safetensors")
    busy = torch.randn(2048, 2048, device=device.device)
    for _ in range(50):  # kernels that the default stream is still running while the weights arrive
        busy = (busy @ busy).clamp(-1, 1)
    read = read_tensors([tmp_path / "model.safetensors"], device, Digests())
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.to(device.device).to(device.dtype)), name
