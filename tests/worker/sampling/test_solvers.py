"""The solvers against those of diffusers, against a model that knows the answer, and moved by guidance."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.requests.samplers import TWO_CALLS, SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from tests.worker.sampling.stock import SAMPLINGS, Sampling, stock_scheduler
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.table import SOLVERS
from worker.sampling.step import Step

DDIM = SamplerName.DDIM, ScheduleName.DEFAULT
TCD = SamplerName.TCD, ScheduleName.DEFAULT
HISTORY = {SamplerName.LMS, SamplerName.PNDM, SamplerName.UNIPC}


def solver_of(name: SamplerName, prediction: str = "epsilon", steps: int = 10) -> Solver:
    return SOLVERS[name](STABLE_DIFFUSION | {"prediction_type": prediction}, steps)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def model(x: Tensor, t: Tensor) -> Tensor:
    """A UNet for tests: smooth, and different at every timestep."""
    return torch.sin(3 * x + float(t) / 300)


def stock(sampling: Sampling, config: dict[str, Any], steps: int, eta: float = 0.0) -> Tensor:
    """The latents of diffusers' scheduler from this noise, as its pipelines call it."""
    scheduler = stock_scheduler(sampling, config)
    scheduler.set_timesteps(steps)
    rng = torch.Generator().manual_seed(1)
    latents: Tensor = noise() * scheduler.init_noise_sigma
    drawing = {name for name in SamplerName if SOLVERS[name].own_eta == 1}
    for t in scheduler.timesteps:
        output = model(scheduler.scale_model_input(latents, t), t)
        extra: dict[str, Any] = {"generator": rng} if sampling[0] in drawing else {}
        if eta or sampling[0] is SamplerName.TCD:  # whose eta is not 0 if left out
            extra = {"generator": rng, "eta": eta}
        latents = scheduler.step(output, t, latents, **extra).prev_sample
    return latents


def ours(sampling: Sampling, config: dict[str, Any], steps: int, eta: float = 0.0) -> Tensor:
    name, schedule = sampling
    solver, rng = SOLVERS[name](config, steps, schedule, eta), torch.Generator().manual_seed(1)
    latents = solver.initial(noise())
    for index, step in enumerate(solver.steps):
        for stage, t in enumerate(step.timesteps):
            eps = torch.randn(latents.shape, generator=rng) if solver.draws(index, stage) else None
            latents = solver.advance(index, stage, latents, model(latents, t), eps)
    # diffusers ends in the convention that it keeps, which differs where the last level is not quite zero.
    return latents / step.a_next if solver.levels.exploding else latents


def configurations(sampling: Sampling) -> Iterator[tuple[int, str, str]]:
    """Steps with two of the six pairs of prediction and spacing, others for other steps and the next sampling.

    So each sampling meets each number of steps with both predictions, and each spacing with most; all six pairs come
    with each number of steps. PNDM keeps one spacing: diffusers' takes its steps from other timesteps than it asks the
    model at, in the others.
    """
    spacings = ("leading",) if sampling[0] is SamplerName.PNDM else ("leading", "trailing", "linspace")
    for number, steps in enumerate((2, 6, 14, 15, 30), SAMPLINGS.index(sampling)):
        if sampling[0] is SamplerName.LCM and steps >= 15:
            # A step to the clean latents multiplies differences of rounding, and nothing contracts them.
            continue
        yield steps, "epsilon", spacings[number % len(spacings)]
        yield steps, "v_prediction", spacings[(number + 1) % len(spacings)]


@pytest.mark.parametrize(
    ("sampling", "steps", "prediction", "spacing"),
    [(sampling, *configuration) for sampling in SAMPLINGS for configuration in configurations(sampling)],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_every_solver_arrives_where_that_of_diffusers_does(
    sampling: Sampling, prediction: str, steps: int, spacing: str
) -> None:
    config = STABLE_DIFFUSION | {"prediction_type": prediction, "timestep_spacing": spacing}
    one, other = ours(sampling, config, steps), stock(sampling, config, steps)
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize(
    "name",
    [
        SamplerName.DDIM,
        SamplerName.EULER,
        SamplerName.HEUN,
        SamplerName.PNDM,
        SamplerName.LCM,
        SamplerName.TCD,
    ],
)
def test_a_single_step_is_that_of_diffusers_too(name: SamplerName) -> None:
    config = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
    sampling = name, ScheduleName.DEFAULT
    assert torch.allclose(ours(sampling, config, 1), stock(sampling, config, 1), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("eta", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sampling", [DDIM, TCD], ids="-".join)
def test_eta_adds_the_fresh_noise_of_diffusers(
    sampling: Sampling, prediction: str, spacing: str, eta: float
) -> None:
    config = STABLE_DIFFUSION | {"prediction_type": prediction, "timestep_spacing": spacing}
    one, other = (run(sampling, config, 10, eta) for run in (ours, stock))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_fresh_noise_depends_on_the_generator_alone() -> None:
    config = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
    assert torch.equal(ours(DDIM, config, 10, 0.8), ours(DDIM, config, 10, 0.8))
    assert not torch.allclose(ours(DDIM, config, 10, 0.8), ours(DDIM, config, 10))


@pytest.mark.parametrize("flag", ["use_karras_sigmas", "use_exponential_sigmas"])
def test_a_schedule_that_is_named_replaces_that_of_the_model(flag: str) -> None:
    own = STABLE_DIFFUSION | {"prediction_type": "epsilon", flag: True}
    plain = STABLE_DIFFUSION | {"prediction_type": "epsilon"}

    def sigmas(config: dict[str, Any], schedule: ScheduleName) -> list[float]:
        return [step.sigma for step in SOLVERS[SamplerName.EULER](config, 8, schedule).steps]

    assert sigmas(own, ScheduleName.DEFAULT) != sigmas(plain, ScheduleName.DEFAULT)
    for schedule in (ScheduleName.KARRAS, ScheduleName.EXPONENTIAL):
        assert sigmas(own, schedule) == sigmas(plain, schedule)


def take(solver: Solver, step: Step, latents: Tensor, clean: Tensor) -> Tensor:
    """One step with a model that knows the clean latents."""
    index = solver.steps.index(step)
    for stage in range(len(step.timesteps)):
        output = solver.level(index, stage).output(clean, latents)
        eps = noise(100 + 2 * index + stage) if solver.draws(index, stage) else None
        latents = solver.advance(index, stage, latents, output, eps)
    return latents


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_with_a_perfect_model_every_solver_arrives_at_the_clean_latents(
    name: SamplerName, prediction: str
) -> None:
    solver, clean = solver_of(name, prediction, steps=20), noise(3)
    latents = solver.initial(noise())
    for step in solver.steps:
        latents = take(solver, step, latents, clean)
    assert torch.allclose(latents, clean, atol=0.15)


@pytest.mark.parametrize("name", list(SamplerName))
def test_latents_keep_the_variance_that_the_unet_expects(name: SamplerName) -> None:
    solver, clean = solver_of(name, "sample", steps=20), noise(3)
    latents = solver.initial(noise())
    for step in solver.steps:
        assert latents.std().item() == pytest.approx(1, abs=0.2)
        latents = take(solver, step, latents, clean)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_the_output_that_implies_an_estimate_is_the_output_it_came_from(
    name: SamplerName, prediction: str
) -> None:
    for step in solver_of(name, prediction).steps:
        x, output = noise(1).double(), noise(2).double()
        denoised = step.denoised(output, x)
        assert torch.allclose(step.output(denoised, x), output)
        assert torch.allclose(step.a * denoised + step.s * step.noise(denoised, x), x)


@pytest.mark.parametrize("name", list(SamplerName))
def test_the_model_is_asked_as_often_as_its_solver_needs(name: SamplerName) -> None:
    timesteps = [len(step.timesteps) for step in solver_of(name).steps]
    expected = {SamplerName.PNDM: [2] + [1] * 9, **dict.fromkeys(TWO_CALLS, [2] * 9 + [1])}
    assert timesteps == expected.get(name, [1] * 10)


@pytest.mark.parametrize("name", [name for name in SamplerName if name not in HISTORY | TWO_CALLS])
def test_a_step_carries_a_changed_estimate_as_far_as_a_shift_of_first_order(name: SamplerName) -> None:
    """In the first step, where no memory is involved: exactly."""
    displacement = noise(4).double()
    following = []
    for change in (0.0, 1.0):
        solver = solver_of(name)
        step, latents = solver.steps[0], solver.initial(noise().double())
        output = step.output(noise(3) + change * displacement, latents)
        following.append(solver.advance(0, 0, latents, output, noise(1) if solver.draws(0, 0) else None))
    carried = step.a_next * (1 - step.contraction) * displacement
    assert torch.allclose(following[1] - following[0], carried)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", list(SamplerName))
def test_a_shift_lasts_as_long_as_the_noise_around_it(name: SamplerName, prediction: str) -> None:
    """With a perfect model a deviation shrinks with the noise level, through memory and corrections alike."""
    clean, shift = noise(3).double(), noise(4).double()
    ends = []
    for size in (0.0, 1.0):
        solver = solver_of(name, prediction)
        latents = solver.initial(noise().double())
        for index, step in enumerate(solver.steps[:6]):
            latents = take(solver, step, latents, clean)
            if index == 2:
                latents = solver.shifted(index, latents, size * shift)
        ends.append(latents)
    expected = shift * math.prod(step.a_next * step.down / step.s for step in solver.steps[3:6])
    assert torch.allclose(ends[1] - ends[0], expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", list(SamplerName))
def test_a_step_that_is_taken_again_starts_from_the_same_noise_level(name: SamplerName) -> None:
    solver, clean = solver_of(name), noise(3)
    latents = solver.initial(noise())
    for step in solver.steps[:3]:
        latents = take(solver, step, latents, clean)
    step, fresh = solver.steps[3], noise(6)
    once = take(solver, step, latents, clean)
    again = math.sqrt(step.alpha) * once + math.sqrt(step.beta) * fresh
    assert (again - step.a * clean).std() == pytest.approx(step.s, rel=0.15)


def karras(steps: int, least: float, most: float) -> Tensor:
    """As k-diffusion's ``get_sigmas_karras``, with a 0 at the end."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (most ** (1 / 7) + ramp * (least ** (1 / 7) - most ** (1 / 7))) ** 7
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])


def restarted(steps: int) -> Tensor:
    """The sampler of A1111's web UI (``restart_sampler``), in its notation z = x / a."""
    config = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
    abars = stock_scheduler(DDIM, config).alphas_cumprod.double()
    table, rng = ((1 - abars) / abars).sqrt(), torch.Generator().manual_seed(1)

    def slope(z: Tensor, sigma: float) -> Tensor:
        place = float(torch.searchsorted(table, sigma).clamp(1, len(table) - 1))
        low, high = table[int(place) - 1].log(), table[int(place)].log()
        t = place - 1 + (math.log(sigma) - low) / (high - low)
        return model(z / math.sqrt(1 + sigma**2), t.clamp(0, len(table) - 1))

    sigmas, restarts = karras(steps, float(table[0]), float(table[-1])), {}
    if steps >= 20:
        number, times = (steps // 4, 2) if steps >= 36 else (9, 1)
        sigmas = karras(steps - number * times, float(sigmas[-2]), float(sigmas[0]))
        restarts = {int((sigmas - 0.1).abs().argmin()): (number + 1, times, int((sigmas - 2).abs().argmin()))}
    pairs = []
    for i in range(len(sigmas) - 1):
        pairs.append((sigmas[i], sigmas[i + 1]))
        if i + 1 in restarts:
            number, times, top = restarts[i + 1]
            again = karras(number, float(sigmas[i + 1]), float(sigmas[top]))[:-1]
            pairs += list(pairwise(again)) * times
    z, last = noise().double() * sigmas[0], sigmas[0]
    for old, new in ((float(old), float(new)) for old, new in pairs):
        if last < old * (1 - 1e-9):  # but for rounding
            z = z + torch.randn(z.shape, generator=rng) * (old**2 - float(last) ** 2) ** 0.5
        d = slope(z, old)
        euler = z + d * (new - old)
        z = euler if new == 0 else z + (d + slope(euler, new)) / 2 * (new - old)
        last = torch.tensor(new)
    return z


@pytest.mark.parametrize("steps", [1, 5, 19, 20, 35, 36, 50])
def test_restarts_are_those_of_the_web_ui(steps: int) -> None:
    config = STABLE_DIFFUSION | {"prediction_type": "epsilon"}
    one, other = ours((SamplerName.RESTART, ScheduleName.DEFAULT), config, steps), restarted(steps)
    assert len(SOLVERS[SamplerName.RESTART](config, steps).steps) == steps
    assert torch.allclose(one.double(), other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
    ups = [step for step in SOLVERS[SamplerName.RESTART](config, steps).steps if step.goes_up]
    assert len(ups) == (2 if steps >= 36 else 1 if steps >= 20 else 0)
