"""The maths of consistency distillation against diffusers' schedulers, and where its fixed point lies."""

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler
from torch import Tensor

from training.diffusion import scheduler
from training.few_steps import consistency

ABARS = scheduler().alphas_cumprod
SHAPE = (4, 8, 16, 16)


def _noise(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def _v_of(x: Tensor, x0: Tensor, timestep: Tensor) -> Tensor:
    """What a denoiser answers that knows the clean latents."""
    abar = ABARS[timestep].view(-1, 1, 1, 1)
    eps = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
    v: Tensor = abar.sqrt() * eps - (1 - abar).sqrt() * x0
    return v


def test_the_consistency_function_is_the_identity_at_timestep_0_and_the_estimate_where_noise_is() -> None:
    x, v = _noise(0), _noise(1)
    assert torch.equal(consistency.consistent(x, v, torch.zeros(4, dtype=torch.long), ABARS), x)
    timestep = torch.tensor([19, 259, 499, 999])
    abar = ABARS[timestep].view(-1, 1, 1, 1)
    estimate = abar.sqrt() * x - (1 - abar).sqrt() * v
    assert (consistency.consistent(x, v, timestep, ABARS) - estimate).abs().max() < 1e-4


def test_the_consistency_function_is_that_of_diffusers_sampler() -> None:
    sampler = LCMScheduler.from_config(scheduler().config)
    sampler.set_timesteps(4)
    x, v = _noise(0), _noise(1)
    for t in sampler.timesteps:
        theirs = sampler.step(v, t, x, generator=torch.Generator().manual_seed(0)).denoised
        ours = consistency.consistent(x, v, t.expand(4), ABARS)
        assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("steps", [10, 25])
def test_a_step_of_the_teacher_is_one_of_diffusers_ddim(steps: int) -> None:
    sampler = DDIMScheduler.from_config(scheduler().config)
    sampler.set_timesteps(steps)
    x, v = _noise(0), _noise(1)
    for t in (19, 39, 499, 759, 999):
        timestep = torch.full((4,), t)
        earlier = (timestep - 1000 // steps).clamp(min=0)
        theirs = sampler.step(v, t, x).prev_sample
        assert (consistency.solved(x, v, timestep, earlier, ABARS) - theirs).abs().max() < 1e-5


def test_guidance_is_that_of_diffusers_pipelines() -> None:
    conditional, unconditional = _noise(0), _noise(1)
    assert torch.allclose(consistency.guided(conditional, unconditional, 1.0), conditional, atol=1e-6)
    assert torch.allclose(
        consistency.guided(conditional, unconditional, 3.0), 3 * conditional - 2 * unconditional, atol=1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_where_an_exact_teacher_leads_is_a_fixed_point(scale: float) -> None:
    """The teacher knows one picture with a text and one without; its ODE leads to where guidance lies between them."""
    with_text, without = _noise(0), _noise(1)
    end = consistency.guided(with_text, without, scale)

    def loss(timesteps: list[int], answer: Tensor) -> float:
        """Of a student that always answers this picture."""
        timestep = torch.tensor(timesteps)
        earlier = (timestep - 40).clamp(min=0)
        x = consistency.noised(with_text, timestep, ABARS, torch.Generator().manual_seed(3))
        v = consistency.guided(_v_of(x, with_text, timestep), _v_of(x, without, timestep), scale)
        before = consistency.solved(x, v, timestep, earlier, ABARS)
        wanted = consistency.consistent(before, _v_of(before, answer, earlier), earlier, ABARS)
        made = consistency.consistent(x, _v_of(x, answer, timestep), timestep, ABARS)
        return float(consistency.pseudo_huber(made, wanted))

    assert loss([59, 259, 499, 999], end) < 1e-4
    # A student that agrees with itself may still be wrong. At timestep 0 the target is what the teacher drew, with the
    # little noise that is left there.
    assert loss([39] * 4, end) < 0.5
    assert loss([39] * 4, end + 2) > 1.5


def test_levels_are_those_of_the_sampler_and_all_alike() -> None:
    rng = torch.Generator().manual_seed(0)
    levels = torch.cat([consistency.drawn(32, len(ABARS), rng) for _ in range(200)])
    found, counts = levels.unique(return_counts=True)
    assert found.tolist() == list(range(19, 1000, 20))
    assert (counts.float() / len(levels) - 0.02).abs().max() < 0.006
