"""A step between noise levels of any kind: variance preserving, flow matching, variance exploding."""

import math

import pytest
import torch
from torch import Tensor

from worker.sampling.schedules.steps import Level, step_between
from worker.sampling.step import Step

KINDS: dict[str, tuple[Level, Level]] = {
    "preserving": ((0.6, 0.8), (0.8, 0.6)),
    "flow matching": ((0.3, 0.7), (0.45, 0.55)),
    "exploding": ((1.0, 4.0), (1.0, 2.5)),
}
COUNT = 200_000


def step_of(kind: str, prediction: str = "epsilon", eta: float = 0.0) -> Step:
    return step_between(*KINDS[kind], prediction, timesteps=(torch.tensor(500),), eta=eta)


def noise(seed: int) -> Tensor:
    return torch.randn(COUNT, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_each_parameterization_gives_back_the_clean_latents(kind: str) -> None:
    x0, eps = noise(0), noise(1)
    (a, s), _ = KINDS[kind]
    outputs = {"epsilon": eps, "v_prediction": a * eps - s * x0, "sample": x0}
    for prediction, output in outputs.items():
        step = step_of(kind, prediction)
        assert torch.allclose(step.denoised(output, a * x0 + s * eps), x0)
        assert torch.allclose(step.output(x0, a * x0 + s * eps), output)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_order_step_with_the_true_estimate_ends_on_the_true_latents(kind: str) -> None:
    x0, eps = noise(0), noise(1)
    (a, s), (a_next, s_next) = KINDS[kind]
    assert torch.allclose(step_of(kind).first_order(a * x0 + s * eps, x0), a_next * x0 + s_next * eps)


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_fresh_noise_replaces_as_much_of_the_old(kind: str, eta: float) -> None:
    x0, eps = noise(0), noise(1)
    (a, s), (a_next, s_next) = KINDS[kind]
    step = step_of(kind, eta=eta)
    assert step.up > 0
    assert math.hypot(step.down, step.up) == pytest.approx(s_next / a_next)
    end = step.first_order(a * x0 + s * eps, x0) + a_next * step.up * noise(2)
    assert (end - a_next * x0).std().item() == pytest.approx(s_next, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_forward_process_leads_from_the_end_of_a_step_to_its_start(kind: str) -> None:
    x0, eps = noise(0), noise(1)
    (a, s), (a_next, s_next) = KINDS[kind]
    step = step_of(kind)
    start = math.sqrt(step.alpha) * (a_next * x0 + s_next * eps) + math.sqrt(step.beta) * noise(2)
    assert (start - a * x0).std().item() == pytest.approx(s, rel=0.01)


def test_alpha_and_beta_add_up_to_one_where_variance_is_preserved() -> None:
    step = step_of("preserving")
    assert step.alpha + step.beta == pytest.approx(1)


def test_a_step_between_equal_levels_adds_no_noise() -> None:
    for abar in torch.linspace(0.01, 0.99, 99, dtype=torch.float64).tolist():
        level = math.sqrt(abar), math.sqrt(1 - abar)
        step = step_between(level, level, "epsilon", timesteps=(torch.tensor(0),), eta=0)
        assert 0 <= step.beta < 1e-15
