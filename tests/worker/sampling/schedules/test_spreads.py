"""Noise schedules by their published formulas and tables, and runs through them against diffusers'."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler
from diffusers.schedulers import AysSchedules
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor

from jobs.requests.samplers import SCHEDULES, SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from tests.worker.sampling.test_solvers import model, noise
from worker.facts import IS_XL
from worker.sampling.linear_run import linear_run
from worker.sampling.schedules.spreads import SPREADS
from worker.sampling.solvers.table import SOLVERS

CONFIG: dict[str, Any] = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
SPREADABLE = [name for name in SamplerName if len(SCHEDULES[name]) > 1]


def starts(schedule: ScheduleName, steps: int, **fields: Any) -> list[float]:
    run = linear_run(SamplerName.EULER, CONFIG | fields, steps, schedule, 0.0)
    assert run.steps[-1].s_next == 0
    return [step.sigma for step in run.steps]


def timesteps(schedule: ScheduleName, steps: int) -> list[float]:
    return [calls[0].timestep for calls in linear_run(SamplerName.EULER, CONFIG, steps, schedule, 0.0).calls]


@pytest.mark.parametrize("steps", [1, 4, 8, 30])
def test_sgm_uniform_is_trailing_but_for_rounding(steps: int) -> None:
    trailing = EulerDiscreteScheduler.from_config(CONFIG, timestep_spacing="trailing")
    trailing.set_timesteps(steps)
    got = timesteps(ScheduleName.SGM_UNIFORM, steps)
    assert np.allclose(got, trailing.timesteps.numpy(), atol=1.5)
    assert got == pytest.approx([999 * (1 - number / steps) for number in range(steps)])


@pytest.mark.parametrize("steps", [2, 4, 30])
def test_normal_is_even_down_to_the_least_noise(steps: int) -> None:
    assert timesteps(ScheduleName.NORMAL, steps) == pytest.approx(np.linspace(999, 0, steps), abs=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 7, 30])
def test_simple_counts_trained_levels_from_the_last(steps: int) -> None:
    """As in ComfyUI: sigmas[-(1 + int(x * len(sigmas) / steps))]."""
    trained = list(range(1000))
    expected = [trained[-(1 + int(x * (1000 / steps)))] for x in range(steps)]
    assert timesteps(ScheduleName.SIMPLE, steps) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_beta_has_its_timesteps_at_quantiles(steps: int) -> None:
    """As in ComfyUI, which rounds them."""
    shares = 1 - np.linspace(0, 1, steps, endpoint=False)
    expected = 999 * stats.beta.ppf(shares, 0.6, 0.6)
    assert timesteps(ScheduleName.BETA, steps) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("fields", "kind"), [({}, ""), ({IS_XL: True}, "XL")])
def test_ten_steps_are_aligned_as_published(fields: dict[str, Any], kind: str) -> None:
    published = AysSchedules[f"StableDiffusion{kind}Sigmas"]
    assert starts(ScheduleName.AYS, 10, **fields) == pytest.approx(published[:-1])
    asked = linear_run(SamplerName.EULER, CONFIG | fields, 10, ScheduleName.AYS, 0.0).calls
    # Its authors give whole timesteps too, and round some of them otherwise.
    expected = AysSchedules[f"StableDiffusion{kind}Timesteps"]
    assert [calls[0].timestep for calls in asked] == pytest.approx(expected, abs=1.5)


def test_other_numbers_of_steps_lie_between_the_published_ones_in_log_sigma() -> None:
    ten, twenty = (np.log(starts(ScheduleName.AYS, steps)) for steps in (10, 20))
    assert twenty[::2] == pytest.approx(ten)
    assert twenty[1:-1:2] == pytest.approx((ten[1:] + ten[:-1]) / 2)
    assert starts(ScheduleName.AYS, 1) == pytest.approx([14.615])


@pytest.mark.parametrize("schedule", SPREADS)
@pytest.mark.parametrize("steps", [1, 2, 50, 150])
def test_noise_falls_at_each_step(schedule: ScheduleName, steps: int) -> None:
    sigmas = starts(schedule, steps)
    assert len(sigmas) == steps
    assert all(one > other > 0 for one, other in pairwise(sigmas))


def stock(scheduler: Any, steps: list[int]) -> Tensor:
    scheduler.set_timesteps(timesteps=steps)
    latents: Tensor = noise() * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        latents = scheduler.step(
            model(scheduler.scale_model_input(latents, t), t), t, latents, return_dict=False
        )[0]
    return latents


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (SamplerName.EULER, EulerDiscreteScheduler),
        (SamplerName.HEUN, HeunDiscreteScheduler),
        (SamplerName.DPMPP_2M, DPMSolverMultistepScheduler),
    ],
)
@pytest.mark.parametrize("steps", [4, 20])
def test_a_run_ends_where_that_of_diffusers_through_the_same_timesteps_does(
    name: SamplerName, kind: Any, steps: int
) -> None:
    """With ``simple``, whose timesteps are whole numbers, as diffusers wants them."""
    solver = SOLVERS[name](CONFIG, steps, ScheduleName.SIMPLE)
    latents = solver.initial(noise())
    for index, step in enumerate(solver.steps):
        for stage, t in enumerate(step.timesteps):
            latents = solver.advance(index, stage, latents, model(latents, t))
    scheduler = kind.from_config(CONFIG, timestep_spacing="trailing")
    other = stock(scheduler, [round(float(step.timesteps[0])) for step in solver.steps])
    assert torch.allclose(latents, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("schedule", SPREADS)
@pytest.mark.parametrize("name", SPREADABLE)
def test_with_a_perfect_model_every_solver_arrives_through_every_schedule(
    name: SamplerName, schedule: ScheduleName
) -> None:
    solver, clean = SOLVERS[name](CONFIG, 12, schedule), noise(3)
    latents = solver.initial(noise())
    for index, step in enumerate(solver.steps):
        assert latents.std().item() == pytest.approx(1, abs=0.15)
        for stage in range(len(step.timesteps)):
            output = solver.level(index, stage).output(clean, latents)
            eps = noise(100 + 2 * index + stage) if solver.draws(index, stage) else None
            latents = solver.advance(index, stage, latents, output, eps)
    assert torch.allclose(latents, clean, atol=1e-3)
