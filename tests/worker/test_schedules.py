"""The solvers against those of diffusers, step by step, and against a model that knows the answer."""

from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)
from torch import Tensor

from jobs.request import SamplerName
from worker.schedules import Solver

CONFIG: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "clip_sample": False,
    "set_alpha_to_one": False,
}
STOCK: dict[SamplerName, Any] = {
    SamplerName.DDIM: DDIMScheduler,
    SamplerName.EULER: EulerDiscreteScheduler,
    SamplerName.EULER_ANCESTRAL: EulerAncestralDiscreteScheduler,
    SamplerName.DPMPP_2M: DPMSolverMultistepScheduler,
}


def model(x: Tensor, t: Tensor) -> Tensor:
    """A UNet for tests: smooth, and different at every timestep."""
    return torch.sin(3 * x + float(t) / 300)


def stock(
    name: SamplerName, config: dict[str, Any], steps: int, noise: Tensor, rng: torch.Generator
) -> Tensor:
    """What diffusers makes of ``noise``, as its pipelines call it."""
    scheduler = STOCK[name].from_config(config)
    scheduler.set_timesteps(steps)
    latents: Tensor = noise * scheduler.init_noise_sigma
    takes_generator = name is not SamplerName.DPMPP_2M
    for t in scheduler.timesteps:
        output = model(scheduler.scale_model_input(latents, t), t)
        extra = {"generator": rng} if takes_generator else {}
        latents = scheduler.step(output, t, latents, **extra).prev_sample
    return latents


def ours(
    name: SamplerName, config: dict[str, Any], steps: int, noise: Tensor, rng: torch.Generator
) -> Tensor:
    solver = Solver(name, config, steps)
    latents = solver.initial(noise)
    for step, t in enumerate(solver.timesteps):
        denoised = solver.denoised(model(latents, t), latents, step)
        latents = solver.step(denoised, latents, step, rng)
    return latents


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 2, 6, 14, 15, 30])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_every_solver_arrives_where_that_of_diffusers_does(
    name: SamplerName, prediction: str, steps: int, spacing: str
) -> None:
    config = CONFIG | {"prediction_type": prediction, "timestep_spacing": spacing}
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = (run(name, config, steps, noise, torch.Generator().manual_seed(1)) for run in (ours, stock))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("name", list(SamplerName))
def test_with_a_perfect_model_every_solver_arrives_at_the_clean_latents(name: SamplerName) -> None:
    rng = torch.Generator().manual_seed(0)
    solver = Solver(name, CONFIG | {"prediction_type": "sample"}, steps=20)
    clean = torch.randn(1, 4, 8, 8, generator=rng)
    latents = solver.initial(torch.randn(1, 4, 8, 8, generator=rng))
    for step in range(20):
        latents = solver.step(solver.denoised(clean, latents, step), latents, step, rng)
    assert torch.allclose(latents, clean, atol=0.15)


@pytest.mark.parametrize("name", list(SamplerName))
def test_latents_keep_the_variance_that_the_unet_expects(name: SamplerName) -> None:
    rng = torch.Generator().manual_seed(0)
    solver = Solver(name, CONFIG | {"prediction_type": "sample", "timestep_spacing": "trailing"}, steps=20)
    clean = torch.randn(1, 4, 64, 64, generator=rng)
    latents = solver.initial(torch.randn(1, 4, 64, 64, generator=rng))
    for step in range(20):
        assert latents.std().item() == pytest.approx(1, abs=0.1)
        latents = solver.step(clean, latents, step, rng)


def test_a_schedule_that_starts_at_pure_noise_can_be_solved() -> None:
    config = CONFIG | {
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    }
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    one, other = (
        run(SamplerName.DDIM, config, 10, noise, torch.Generator().manual_seed(1)) for run in (ours, stock)
    )
    assert torch.allclose(one, other, atol=1e-3)
