"""The solvers' two conventions behind one notation."""

import pytest
import torch

from jobs.request import SamplerName
from worker.schedules import Solver

CONFIG = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "clip_sample": False,
    "set_alpha_to_one": False,
}


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_the_output_that_implies_an_estimate_is_the_output_it_came_from(
    name: SamplerName, prediction: str
) -> None:
    solver = Solver(name, CONFIG | {"prediction_type": prediction}, steps=10)
    rng = torch.Generator().manual_seed(0)
    latents = solver.initial(torch.randn(1, 4, 8, 8, generator=rng))
    for timestep in solver.timesteps:
        solver.model_input(latents, timestep)
        output = torch.randn(1, 4, 8, 8, generator=rng)
        denoised = solver.denoised(output, latents, timestep)
        assert torch.allclose(solver.output(denoised, latents, timestep), output, atol=2e-3)
        latents = solver.step(output, latents, timestep, rng)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_the_estimate_is_the_one_that_diffusers_computes_itself(name: SamplerName, prediction: str) -> None:
    solver = Solver(name, CONFIG | {"prediction_type": prediction}, steps=10)
    rng = torch.Generator().manual_seed(0)
    latents = solver.initial(torch.randn(1, 4, 8, 8, generator=rng))
    timestep = solver.timesteps[0]
    solver.model_input(latents, timestep)
    output = torch.randn(1, 4, 8, 8, generator=rng)
    scheduler = solver._scheduler
    if name is SamplerName.DPMPP_2M:
        scheduler._init_step_index(timestep)
        expected = scheduler.convert_model_output(output, sample=latents)
    else:
        expected = scheduler.step(output, timestep, latents, generator=rng).pred_original_sample
    fresh = Solver(name, CONFIG | {"prediction_type": prediction}, steps=10)
    assert torch.allclose(fresh.denoised(output, latents, timestep), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", list(SamplerName))
def test_with_a_perfect_model_every_solver_arrives_at_the_clean_latents(name: SamplerName) -> None:
    solver = Solver(name, CONFIG | {"prediction_type": "v_prediction"}, steps=20)
    rng = torch.Generator().manual_seed(0)
    clean = torch.randn(1, 4, 8, 8, generator=rng)
    latents = solver.initial(torch.randn(1, 4, 8, 8, generator=rng))
    for timestep in solver.timesteps:
        solver.model_input(latents, timestep)
        latents = solver.step(solver.output(clean, latents, timestep), latents, timestep, rng)
    assert torch.allclose(latents, clean, atol=0.15)
