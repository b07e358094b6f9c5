"""The solvers' conventions behind one notation."""

import math

import pytest
import torch
from torch import Tensor

from jobs.request import SamplerName
from worker.schedules import Solver, Step

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
SINGLE = {SamplerName.DDIM, SamplerName.EULER}
STOCHASTIC = {SamplerName.EULER_ANCESTRAL, SamplerName.DPMPP_2M_SDE_KARRAS}


def solver_of(name: SamplerName, prediction: str = "epsilon", steps: int = 10) -> Solver:
    return Solver(name, CONFIG | {"prediction_type": prediction}, steps)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def take(solver: Solver, step: Step, latents: Tensor, clean: Tensor) -> Tensor:
    """One step with a model that knows the clean latents."""
    rng = torch.Generator().manual_seed(solver.steps.index(step))
    for timestep in step.timesteps:
        x = solver.model_input(latents, timestep)
        at = next(other for other in solver.steps if other.timesteps[0] == timestep)
        latents = solver.step(at.output(clean, x), latents, timestep, rng)
    return latents


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_the_output_that_implies_an_estimate_is_the_output_it_came_from(
    name: SamplerName, prediction: str
) -> None:
    for step in solver_of(name, prediction).steps:
        output = noise(1).double()
        denoised = step.denoised(output, noise(2).double())
        assert torch.allclose(step.output(denoised, noise(2).double()), output)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_the_estimate_is_the_one_that_diffusers_computes_itself(name: SamplerName, prediction: str) -> None:
    if name is SamplerName.PNDM:
        pytest.skip("this scheduler computes no estimate")
    if prediction == "sample" and name in (SamplerName.EULER_ANCESTRAL, SamplerName.LMS):
        pytest.skip("this scheduler does not know it, or takes it for noise")
    solver = solver_of(name, prediction)
    latents, output = solver.initial(noise()), noise(1)
    step, timestep = solver.steps[0], solver.steps[0].timesteps[0]
    ours = step.denoised(output, solver.model_input(latents, timestep))
    scheduler = solver._scheduler
    if hasattr(scheduler, "convert_model_output"):
        scheduler._init_step_index(timestep)
        expected = scheduler.convert_model_output(output, sample=latents)
    else:
        extra = {"generator": torch.Generator()} if solver._takes_generator else {}
        taken = scheduler.step(output, timestep, latents, return_dict=False, **extra)
        expected = taken[1]
    assert torch.allclose(ours, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", list(SamplerName))
def test_with_a_perfect_model_every_solver_arrives_at_the_clean_latents(name: SamplerName) -> None:
    solver, clean = solver_of(name, "v_prediction", steps=20), noise(3)
    latents = solver.initial(noise())
    for step in solver.steps:
        latents = take(solver, step, latents, clean)
    assert torch.allclose(latents, clean, atol=0.15)


@pytest.mark.parametrize("name", list(SamplerName))
def test_the_model_is_asked_as_often_as_its_solver_needs(name: SamplerName) -> None:
    timesteps = [len(step.timesteps) for step in solver_of(name).steps]
    expected = {SamplerName.HEUN: [2] * 9 + [1], SamplerName.PNDM: [2] + [1] * 9}
    assert timesteps == expected.get(name, [1] * 10)


@pytest.mark.parametrize("name", sorted(SINGLE | STOCHASTIC | {SamplerName.DPMPP_2M}))
def test_a_shift_is_what_a_changed_estimate_would_have_led_to(name: SamplerName) -> None:
    """In the first step, where no history is involved: exactly, in the solver's own arithmetic."""
    displacement = noise(4)
    following = []
    for change in (0.0, 1.0):
        solver = solver_of(name)
        step, timestep = solver.steps[0], solver.steps[0].timesteps[0]
        latents = solver.initial(noise())
        x = solver.model_input(latents, timestep)
        output = step.output(noise(3) + change * displacement, x)
        following.append(solver.step(output, latents, timestep, torch.Generator().manual_seed(1)))
    carried = math.sqrt(step.following_abar) * (1 - step.contraction) * displacement / step.following_unit
    assert torch.allclose(following[1] - following[0], carried, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_a_shift_lasts_as_long_as_the_noise_around_it(name: SamplerName, prediction: str) -> None:
    """With a perfect model a deviation shrinks with the noise level, through history and corrections alike."""
    clean, shift = noise(3).double(), noise(4).double()
    ends = []
    for size in (0.0, 1.0):
        solver = solver_of(name, prediction)
        latents = solver.initial(noise().double())
        for index, step in enumerate(solver.steps[:6]):
            latents = take(solver, step, latents, clean)
            if index == 2:
                latents = solver.shifted(latents, size * shift, step)
        ends.append(latents * step.following_unit)
    expected = shift * math.prod(
        step.contraction * math.sqrt(step.following_abar / step.abar) for step in solver.steps[3:6]
    )
    assert torch.allclose(ends[1] - ends[0], expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", list(SamplerName))
def test_a_step_that_is_taken_again_starts_from_the_same_noise_level_and_history(name: SamplerName) -> None:
    solver, clean = solver_of(name), noise(3)
    latents = solver.initial(noise())
    for step in solver.steps[:3]:
        latents = take(solver, step, latents, clean)
    step = solver.steps[3]
    solver.mark()
    once = take(solver, step, latents, clean)
    fresh = noise(6)
    again = solver.renoised(once, step, fresh)
    expected = math.sqrt(step.abar) * clean
    assert (step.unit * again - expected).std() == pytest.approx(step.s, rel=0.15)
    solver.renoised(once, step, fresh)
    assert torch.equal(take(solver, step, latents, clean), once)
