"""Part ``vae``: decoding, by the pictures of a call, and the way back that guidance takes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Values, ratio

PICTURES = (1, 2, 4, 8, 16)


def measure(bench: Bench) -> None:
    """Decoding at both sizes."""
    report = bench.report
    with torch.device(bench.device.device):
        network: Any = AutoencoderKL(**bench.shapes.vae)
    network = network.to(bench.device.dtype).eval().requires_grad_(False)
    for px in bench.sides:
        counts = PICTURES[:2] if bench.small else PICTURES
        found = {
            n: report.figure(f"decode, {px} px, {n}", partial(_decode, bench, network, px, n)) for n in counts
        }
        gain = ratio(found.get(2, {}), found.get(8, {}))
        report.rule(
            f"{px} px: a picture of 8 is less than 1.15 times as fast as one of 2, so decode 2 at a time",
            None if gain is None else 4 * gain < 1.15,
        )
        report.rule(
            f"{px} px: all are finite; else the worker decodes again in another format",
            all(values["finite"] for values in found.values() if "finite" in values),
        )
        report.figure(f"decode and back, {px} px", partial(_back, bench, network, px))


@torch.inference_mode()
def _decode(bench: Bench, network: Any, px: int, pictures: int) -> Values:
    latents = torch.randn(pictures, 4, px // 8, px // 8, **bench.place)
    decode: Callable[[], Tensor] = lambda: network.decode(latents, return_dict=False)[0]  # noqa: E731
    return {**bench.cost(decode, 5, 2), "finite": bool(decode().isfinite().all())}


def _back(bench: Bench, network: Any, px: int) -> Values:
    latents = torch.randn(1, 4, px // 8, px // 8, **bench.place, requires_grad=True)

    def run() -> None:
        picture = network.decode(latents, return_dict=False)[0]
        torch.autograd.grad(picture, latents, torch.ones_like(picture))

    return bench.cost(run, 5, 2)
