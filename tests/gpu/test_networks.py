"""The denoiser's network on a CUDA device: graphs, attention, failures. Run by ``make test-gpu``."""

import threading

import pytest
import torch

from tests.gpu.test_cuda import draw, registry
from tests.worker.models.networks.test_decoding import half, overflowing, tiny_vae
from tests.worker.models.networks.tiny import inputs, tiny_unet
from worker.models.device import Device
from worker.models.failures import Failure, failure_of
from worker.models.networks.capture import CudaCapture
from worker.models.networks.decoding import Decoder
from worker.models.networks.graphs import BUCKETS, TOLERANCE, GraphPool, Graphs
from worker.models.networks.wanted import TIMES
from worker.settings import WorkerSettings

CUDA = torch.device("cuda")


def on_cuda(rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    latents, timesteps, contexts = inputs(rows)
    return latents.to(CUDA, dtype), timesteps.to(CUDA), contexts.to(CUDA, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@torch.no_grad()
def test_a_graph_answers_what_the_network_answers_for_every_number_of_rows(dtype: torch.dtype) -> None:
    unet, pool = tiny_unet().to(CUDA, dtype), GraphPool(CudaCapture(CUDA), 2**30)
    network = Graphs(unet, pool)
    for rows in (*BUCKETS, 5, 7, 11, 17):
        given = on_cuda(rows, dtype)
        for _ in range(TIMES + 2):
            answer = network(*given)
        own = unet(*given)
        assert (answer - own).abs().max() <= TOLERANCE[dtype] * own.abs().max()
    assert pool.taken_bytes > 0
    calls = unet.calls
    network(*on_cuda(5, dtype))
    assert unet.calls == calls, "the graph has answered"


@torch.no_grad()
def test_another_thread_may_use_the_device_while_a_graph_is_recorded() -> None:
    unet = tiny_unet().to(CUDA)
    network, stop, errors = Graphs(unet, GraphPool(CudaCapture(CUDA), 2**30)), threading.Event(), []

    def busy() -> None:
        try:
            while not stop.is_set():
                (torch.randn(256, 256, device=CUDA) @ torch.randn(256, 256, device=CUDA)).sum().item()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=busy)
    thread.start()
    for rows in BUCKETS:
        for _ in range(TIMES + 1):
            network(*on_cuda(rows, torch.float32))
    stop.set()
    thread.join()
    assert errors == []


def test_a_picture_is_the_same_with_graphs_and_without() -> None:
    with_graphs, without = (draw(registry(dtype="fp32", cuda_graphs=on))[0].pixels for on in (True, False))
    assert (with_graphs - without).abs().max() < 1e-3


def test_a_decoder_that_overflows_in_fp16_is_run_in_fp32() -> None:
    decoder, latents = Decoder(half(overflowing(tiny_vae())).to(CUDA)), torch.randn(2, 4, 8, 8, device=CUDA)
    with torch.no_grad():
        assert not bool(decoder(latents).isfinite().all())
        assert bool(decoder(latents).isfinite().all()), "reading the first one has waited for the device"


def test_a_real_lack_of_memory_is_the_memorys_fault_and_the_device_answers_afterwards() -> None:
    device = Device(WorkerSettings(device="cuda"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8, device=CUDA)
    assert failure_of(caught.value, device.answers) is Failure.MEMORY
    assert device.answers()
