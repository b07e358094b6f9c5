"""Solvers that diffusers lacks or has otherwise, against their algorithms as Crowson's k-diffusion states them.

There latents are z = x / a, and the model is asked for the clean latents D(z, sigma).
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from tests.worker.sampling.test_solvers import model, noise
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS

CONFIG: dict[str, Any] = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
Denoiser = Callable[[Tensor, float], Tensor]
_ABARS = DDIMScheduler.from_config(CONFIG).alphas_cumprod.double().numpy()
_LOGS = np.log((1 - _ABARS) / _ABARS) / 2


def denoiser(z: Tensor, sigma: float) -> Tensor:
    t = torch.tensor(np.interp(math.log(sigma), _LOGS, np.arange(1000)))
    return z - sigma * model(z / math.sqrt(1 + sigma**2), t)


def ancestral(sigma: float, following: float) -> tuple[float, float]:
    """Sigma_down and sigma_up."""
    up = min(following, math.sqrt(following**2 * (sigma**2 - following**2) / sigma**2))
    return math.sqrt(following**2 - up**2), up


def dpmpp_2s_ancestral(z: Tensor, sigmas: list[float], drawn: Iterator[Tensor]) -> Tensor:
    for sigma, following in pairwise(sigmas):
        clean = denoiser(z, sigma)
        if following == 0:
            return clean
        down, up = ancestral(sigma, following)
        h = math.log(sigma / down)
        middle = sigma * math.exp(-h / 2)
        z_2 = (middle / sigma) * z - math.expm1(-h / 2) * clean
        z = (down / sigma) * z - math.expm1(-h) * denoiser(z_2, middle) + up * next(drawn)
    raise AssertionError


def dpmpp_sde(z: Tensor, sigmas: list[float], drawn: Iterator[Tensor]) -> Tensor:
    """With one Brownian motion in sigma for both noises of a step."""
    for sigma, following in pairwise(sigmas):
        clean = denoiser(z, sigma)
        if following == 0:
            return clean
        middle = math.sqrt(sigma * following)
        first = math.sqrt(sigma - middle) * next(drawn)
        second = math.sqrt(middle - following) * next(drawn)
        down, up = ancestral(sigma, middle)
        z_2 = (down / sigma) * z + (1 - down / sigma) * clean + up * first / math.sqrt(sigma - middle)
        down, up = ancestral(sigma, following)
        whole = (first + second) / math.sqrt(sigma - following)
        z = (down / sigma) * z + (1 - down / sigma) * denoiser(z_2, middle) + up * whole
    raise AssertionError


def dpmpp_3m_sde(z: Tensor, sigmas: list[float], drawn: Iterator[Tensor]) -> Tensor:
    past: list[Tensor] = []
    lengths: list[float] = []
    for sigma, following in pairwise(sigmas):
        clean = denoiser(z, sigma)
        if following == 0:
            return clean
        h = math.log(sigma / following)
        h_eta = 2 * h
        z = math.exp(-h_eta) * z - math.expm1(-h_eta) * clean
        phi_2 = math.expm1(-h_eta) / h_eta + 1
        if len(past) > 1:
            r0, r1 = lengths[0] / h, lengths[1] / h
            d1_0, d1_1 = (clean - past[0]) / r0, (past[0] - past[1]) / r1
            d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
            d2 = (d1_0 - d1_1) / (r0 + r1)
            z = z + phi_2 * d1 - (phi_2 / h_eta - 0.5) * d2
        elif past:
            z = z + phi_2 * (clean - past[0]) / (lengths[0] / h)
        z = z + following * math.sqrt(-math.expm1(-2 * h)) * next(drawn)
        past, lengths = [clean, *past[:1]], [h, *lengths[:1]]
    raise AssertionError


PUBLISHED = {
    SamplerName.DPMPP_2S_ANCESTRAL: dpmpp_2s_ancestral,
    SamplerName.DPMPP_SDE: dpmpp_sde,
    SamplerName.DPMPP_3M_SDE: dpmpp_3m_sde,
}


def draws() -> Iterator[Tensor]:
    rng = torch.Generator().manual_seed(1)
    while True:
        yield torch.randn(1, 4, 8, 8, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("schedule", [ScheduleName.DEFAULT, ScheduleName.KARRAS, ScheduleName.BETA])
@pytest.mark.parametrize("steps", [1, 2, 5, 25])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_solver_ends_where_the_published_algorithm_does(
    name: SamplerName, steps: int, schedule: ScheduleName
) -> None:
    solver, drawn = SOLVERS[name](CONFIG, steps, schedule), draws()
    x = solver.initial(noise().double())
    sigmas = [*(step.sigma for step in solver.steps), 0.0]
    expected = PUBLISHED[name](x / solver.steps[0].a, sigmas, draws())
    for index, step in enumerate(solver.steps):
        for stage, t in enumerate(step.timesteps):
            eps = next(drawn) if solver.draws(index, stage) else None
            x = solver.advance(index, stage, x, model(x, t), eps)
    assert torch.allclose(x, expected, rtol=0, atol=2e-4 * float(expected.abs().max()))


SPREAD = 0.5  # of the clean latents


def spread_at_the_end(solver: Solver) -> float:
    """That of a run with the best estimate for independent normal latents, without sampling.

    All is linear, so the run is taken on one unit vector for each draw.
    """
    number = sum(
        solver.draws(i, stage) for i, step in enumerate(solver.steps) for stage in range(len(step.timesteps))
    )
    units = iter(torch.eye(number + 1, dtype=torch.float64))
    x = next(units)
    for index, step in enumerate(solver.steps):
        for stage in range(len(step.timesteps)):
            level = solver.level(index, stage)
            clean = level.a * SPREAD**2 / (level.a**2 * SPREAD**2 + level.s**2) * x
            eps = next(units) if solver.draws(index, stage) else None
            x = solver.advance(index, stage, x, level.output(clean, x), eps)
    return float(x.norm())


@pytest.mark.parametrize(
    "name", [SamplerName.DPMPP_SDE, SamplerName.DPMPP_3M_SDE, SamplerName.DPMPP_2M_SDE_HEUN]
)
def test_a_solver_of_the_sde_spreads_pictures_better_than_one_of_first_order(name: SamplerName) -> None:
    def error(sampler: SamplerName, steps: int) -> float:
        return abs(spread_at_the_end(SOLVERS[sampler](CONFIG, steps, ScheduleName.KARRAS)) / SPREAD - 1)

    assert error(name, 40) < error(SamplerName.EULER_ANCESTRAL, 40) / 2
    assert error(name, 80) < error(name, 20) / 2
