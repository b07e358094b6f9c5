"""Models that are trained down to noise alone, where sigma is infinite (Lin et al. 2024)."""

import math
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from jobs.errors import JobFailedError
from jobs.requests.samplers import SCHEDULES, SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from tests.worker.sampling.test_solvers import noise, ours, stock
from worker.sampling.linear_run import linear_run
from worker.sampling.schedules.spreads import SPREADS
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS

CONFIG: dict[str, Any] = STABLE_DIFFUSION | {
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
# Diffusers' own schedulers of the others pass over the option.
KNOWN = [
    SamplerName.DDIM,
    SamplerName.EULER,
    SamplerName.EULER_ANCESTRAL,
    SamplerName.DPMPP_2M,
    SamplerName.DPMPP_2M_SDE,
    SamplerName.UNIPC,
    SamplerName.DPMPP_2M_SDE_HEUN,
    SamplerName.LCM,
    SamplerName.TCD,
]
FROM_NOISE_ALONE = [name for name in SamplerName if name is not SamplerName.RESTART]
DETERMINISTIC = [name for name in FROM_NOISE_ALONE if SOLVERS[name].own_eta != 1]
MEAN, SPREAD = 0.7, 0.5  # of the clean latents


@pytest.mark.parametrize("steps", [10, 30])
@pytest.mark.parametrize("name", KNOWN)
def test_a_solver_arrives_where_that_of_diffusers_does(name: SamplerName, steps: int) -> None:
    sampling = name, ScheduleName.DEFAULT
    assert torch.allclose(ours(sampling, CONFIG, steps), stock(sampling, CONFIG, steps), rtol=0, atol=2e-4)


def levels_of(timestep: Tensor) -> tuple[float, float]:
    """A and s of the model at a timestep, which may lie between two."""
    abars = DDIMScheduler.from_config(CONFIG).alphas_cumprod.double()
    low, share = int(timestep), float(timestep) - int(timestep)
    abar = float(abars[low] * (1 - share) + abars[min(low + 1, 999)] * share)
    return math.sqrt(abar), math.sqrt(1 - abar)


def best_v(x: Tensor, timestep: Tensor) -> Tensor:
    """The v that predicts best, of independent normal latents: linear in x."""
    a, s = levels_of(timestep)
    denoised = MEAN + a * SPREAD**2 / (a**2 * SPREAD**2 + s**2) * (x - a * MEAN)
    eps = (x - a * denoised) / s
    return a * eps - s * denoised


def arrival(solver: Solver, start: Tensor) -> Tensor:
    x = solver.initial(start)
    for index, step in enumerate(solver.steps):
        for stage, timestep in enumerate(step.timesteps):
            x = solver.advance(index, stage, x, best_v(x, timestep))
    return x


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_solver_follows_the_flow_from_noise_alone_to_the_picture(name: SamplerName) -> None:
    """Of normal latents the probability flow takes eps to MEAN + SPREAD eps."""
    start = noise().double()
    exact = MEAN + SPREAD * start
    errors = [float((arrival(SOLVERS[name](CONFIG, steps), start) - exact).abs().max()) for steps in (20, 80)]
    assert errors[1] < 0.1
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("name", FROM_NOISE_ALONE)
def test_a_run_starts_from_the_noise_itself_and_takes_a_first_step_of_first_order(name: SamplerName) -> None:
    steps = SOLVERS[name](CONFIG, 10).steps
    assert steps[0].starts_from_noise_alone
    assert not any(step.starts_from_noise_alone for step in steps[1:])
    assert [float(timestep) for timestep in steps[0].timesteps] == [999]
    run = linear_run(name, CONFIG, 10, ScheduleName.DEFAULT, 0.0)
    assert run.initial_scale == pytest.approx(1, abs=1e-6)
    assert bool(run.coefficients.weights.isfinite().all())
    # In float32 terms of this size cancel to within 1e-4.
    assert float(run.coefficients.weights.abs().max()) * torch.finfo(torch.float32).eps < 1e-4


def test_restarts_whose_levels_spread_from_the_largest_are_refused() -> None:
    with pytest.raises(JobFailedError, match="use another sampler"):
        SOLVERS[SamplerName.RESTART](CONFIG, 10)


@pytest.mark.parametrize("schedule", [ScheduleName.KARRAS, ScheduleName.EXPONENTIAL, ScheduleName.AYS])
@pytest.mark.parametrize("name", [name for name in SamplerName if len(SCHEDULES[name]) > 1])
def test_a_schedule_that_is_spread_from_the_largest_level_is_refused(
    name: SamplerName, schedule: ScheduleName
) -> None:
    with pytest.raises(JobFailedError, match=f"schedule {schedule} .* use schedule default") as refused:
        SOLVERS[name](CONFIG, 10, schedule)
    assert refused.value.field == "schedule"


@pytest.mark.parametrize("schedule", [name for name in SPREADS if name is not ScheduleName.AYS])
@pytest.mark.parametrize(
    "name", [SamplerName.EULER, SamplerName.HEUN, SamplerName.DPM2, SamplerName.DPMPP_2M]
)
def test_schedules_over_timesteps_begin_in_noise_alone(name: SamplerName, schedule: ScheduleName) -> None:
    start = noise().double()
    errors = []
    for steps in (20, 80):
        solver = SOLVERS[name](CONFIG, steps, schedule)
        assert solver.steps[0].starts_from_noise_alone
        errors.append(float((arrival(solver, start) - MEAN - SPREAD * start).abs().max()))
    assert errors[1] < 0.25
    assert errors[1] < errors[0] / 1.5


@pytest.mark.parametrize("eta", [0.5, 0.9])  # at 1 diffusers takes the root of rounding errors
def test_ddim_adds_as_much_noise_as_that_of_diffusers(eta: float) -> None:
    sampling = SamplerName.DDIM, ScheduleName.DEFAULT
    one, other = (run(sampling, CONFIG, 10, eta) for run in (ours, stock))
    assert torch.allclose(one, other, rtol=0, atol=2e-4)
