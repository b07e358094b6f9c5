"""Every published method, written from its own formulas, against the one rule, in float64 on a toy denoiser."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.objectives import TextObjective
from jobs.requests.presets import PRESETS, Factor, GuidancePreset
from jobs.requests.samplers import SamplerName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from worker.calls import Guide, PullBack
from worker.guidance.gradient import Gradient
from worker.guidance.objectives import SphericalLoss
from worker.readback import Readback
from worker.rows import Row
from worker.sampling.clip_guidance import ClipGuidance, Update
from worker.sampling.prediction import Prediction, Predictions
from worker.sampling.rule import factor, rms
from worker.sampling.solvers.table import SOLVERS
from worker.sampling.step import Step
from worker.sampling.targets import Targets

SHAPE = (1, 2, 3, 3)
CFG = 3.0


class Toy:
    """A denoiser, conditions and a loss, all smooth and small."""

    def __init__(self, prediction: str) -> None:
        self.kind = prediction
        rng = torch.Generator().manual_seed(0)
        self.inner, self.outer, self.goal = (
            torch.randn(18, 18, generator=rng).double() / 4 for _ in range(3)
        )
        self.context = torch.randn(2, 1, 18, generator=rng).double() / 2
        self.x = torch.randn(SHAPE, generator=rng).double()
        self.solver = SOLVERS[SamplerName.DDIM](STABLE_DIFFUSION | {"prediction_type": prediction}, 5)
        self.step = self.solver.steps[2]
        self.index = 2

    def unet(self, x: Tensor, row: int) -> Tensor:
        hidden = torch.tanh(x.flatten(1) @ self.inner + self.context[row])
        return (x.flatten(1) / 2 + hidden @ self.outer).reshape(SHAPE)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.unet(x, 0), self.unet(x, 1)

    def combined(self, x: Tensor) -> Tensor:
        c, u = self.outputs(x)
        return u + CFG * (c - u)

    def denoised(self, x: Tensor, output: Tensor) -> Tensor:
        """x0, from the textbook's formulas."""
        abar = torch.tensor(self.step.a**2, dtype=torch.float64)
        if self.kind == "epsilon":
            return (x - (1 - abar).sqrt() * output) / abar.sqrt()
        return abar.sqrt() * x - (1 - abar).sqrt() * output

    def loss(self, latents: Tensor) -> Tensor:
        return torch.cosh(latents.flatten(1) @ self.goal - 0.5).log().sum()

    def prediction(self) -> Prediction:
        rows = Row(self.context[:1], CFG), Row(self.context[1:], 1 - CFG)
        outputs = torch.cat(self.outputs(self.x))
        finite = Readback(torch.ones(1))
        weights = torch.tensor([row.weight for row in rows], dtype=outputs.dtype).view(1, -1, 1, 1, 1)
        batch = Predictions(self.x, torch.ones(1), outputs, weights, finite)
        return Prediction(batch, 0, 0, rows)

    def answer(self, call: Guide | PullBack) -> Gradient | Tensor:
        """The engine's answer, by autograd."""
        if isinstance(call, Guide):
            (value,) = gradient_of(self.loss, call.latents)
            return Gradient(self.loss(call.latents).item(), {0: self.loss(call.latents).item()}, value, True)
        rows = [
            int((self.context[:, 0] == own[0]).all(dim=-1).nonzero()[0])
            for own in (row.context[0] for row in call.rows)
        ]
        assert torch.equal(call.latents, self.x)

        def product(x: Tensor) -> Tensor:
            return (torch.cat([self.unet(x, row) for row in rows]) * call.gradient).sum()

        return gradient_of(product, call.latents)[0]

    def guide(
        self, row: GuidancePreset, monkeypatch: pytest.MonkeyPatch, clip_guidance: ClipGuidance | None = None
    ) -> tuple[Update | None, ClipGuidance, list[Guide | PullBack]]:
        """One step of the engine's own code."""
        monkeypatch.setitem(PRESETS, "tfg", row)
        guidance = ResolvedGuidance(
            preset="tfg",
            clip="c",
            objectives=(TextObjective(type="text", text="x", clip="c"),),
            cutouts=1,
            trace=True,
            **row.parameters(),
        )
        clip_guidance = clip_guidance or ClipGuidance(
            guidance,
            Targets({0: SphericalLoss(torch.zeros(1, 5))}, {"c": 4}),
            self.solver.steps,
            model="m",
            size=(8, 8),
            shape=(1, *self.x.shape[1:]),
            device=torch.device("cpu"),
            generator=torch.Generator().manual_seed(0),
        )
        running = clip_guidance.update(self.index, self.prediction(), "m")
        calls: list[Guide | PullBack] = []
        answer: Gradient | Tensor | None = None
        while True:
            try:
                call = running.send(answer)
            except StopIteration as end:
                update: Update | None = end.value
                return update, clip_guidance, calls
            assert isinstance(call, Guide | PullBack)
            calls.append(call)
            answer = self.answer(call)

    def following(self, update: Update) -> Tensor:
        """The latents after the step, guidance included."""
        output = self.combined(self.x)
        latents = self.solver.advance(self.index, 0, self.x, output)
        return self.solver.shifted(self.index, latents, update.shift)


def gradient_of(loss: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, ...]:
    leaf = at.detach().requires_grad_(True)
    return torch.autograd.grad(loss(leaf), leaf)


def size_of(gradient: Tensor) -> Tensor:
    return gradient.square().mean().sqrt()


def ddim(step: Step, x: Tensor, x0: Tensor, eps: Tensor | None = None) -> Tensor:
    """Song et al. 2021, eq. 12 without noise; eps is what x and x0 imply, unless it is given."""
    if eps is None:
        eps = (x - math.sqrt(step.a**2) * x0) / math.sqrt(1 - step.a**2)
    return math.sqrt(step.a_next**2) * x0 + math.sqrt(1 - step.a_next**2) * eps


def eps_of(step: Step, x: Tensor, x0: Tensor) -> Tensor:
    return (x - math.sqrt(step.a**2) * x0) / math.sqrt(1 - step.a**2)


def laion(toy: Toy, row: GuidancePreset) -> Tensor:
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    (g,) = gradient_of(toy.loss, x0)
    return ddim(toy.step, toy.x, x0 - row.scale * g / size_of(g))


def diffusers(toy: Toy, row: GuidancePreset) -> Tensor:
    s = toy.step.s

    def loss(x: Tensor) -> Tensor:
        return row.scale * toy.loss(s * toy.denoised(x, toy.outputs(x)[0]) + (1 - s) * x)

    (g,) = gradient_of(loss, toy.x)
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    eps = eps_of(toy.step, toy.x, x0) + s * g
    return ddim(toy.step, toy.x, (toy.x - s * eps) / math.sqrt(toy.step.a**2), eps)


def disco(toy: Toy, row: GuidancePreset) -> Tensor:
    s = toy.step.s

    def loss(x: Tensor) -> Tensor:
        return row.scale * toy.loss(s * toy.denoised(x, toy.combined(x)) + (1 - s) * x)

    (g,) = gradient_of(loss, toy.x)
    g = g * size_of(g).clamp(max=row.clamp) / size_of(g)
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    eps = eps_of(toy.step, toy.x, x0) + s * g
    return ddim(toy.step, toy.x, (toy.x - s * eps) / math.sqrt(toy.step.a**2), eps)


def correction(toy: Toy) -> Tensor:
    c, u = toy.outputs(toy.x)
    return size_of(c - u) * CFG


def mpgd(toy: Toy, row: GuidancePreset) -> Tensor:
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    (g,) = gradient_of(toy.loss, x0)
    moved = x0 - row.scale * correction(toy) / size_of(g) * g
    return ddim(toy.step, toy.x, moved, eps_of(toy.step, toy.x, x0))


def freedom(toy: Toy, row: GuidancePreset) -> Tensor:
    (g,) = gradient_of(lambda x: toy.loss(toy.denoised(x, toy.combined(x))), toy.x)
    rho = row.scale * correction(toy) / size_of(g)
    return ddim(toy.step, toy.x, toy.denoised(toy.x, toy.combined(toy.x))) - rho * g


def universal(toy: Toy, row: GuidancePreset) -> Tensor:
    """Bansal et al. 2023, eq. 6 to 9, with ``iterations`` steps of gradient descent backwards."""
    s, root = toy.step.s, math.sqrt(toy.step.a**2)
    (g,) = gradient_of(lambda x: toy.loss(toy.denoised(x, toy.combined(x))), toy.x)
    eps = eps_of(toy.step, toy.x, toy.denoised(toy.x, toy.combined(toy.x))) + row.rho * row.scale * s * g
    z0 = (toy.x - s * eps) / root
    delta = torch.zeros_like(z0)
    for _ in range(row.iterations if row.mu else 0):
        delta = delta - row.mu * row.scale * gradient_of(toy.loss, z0 + delta)[0]
    eps = eps - root / s * delta
    return ddim(toy.step, toy.x, (toy.x - s * eps) / root, eps)


def polyak(toy: Toy, row: GuidancePreset) -> Tensor:
    """Polyak 1969, with a least loss of 0: a step of L / |g|^2 along g would end there if L were linear."""
    loss = toy.loss(toy.denoised(toy.x, toy.combined(toy.x)))
    (g,) = gradient_of(lambda x: toy.loss(toy.denoised(x, toy.combined(x))), toy.x)
    eps = eps_of(toy.step, toy.x, toy.denoised(toy.x, toy.combined(toy.x)))
    eps = eps + row.scale * loss * g / g.square().sum()
    return ddim(toy.step, toy.x, (toy.x - toy.step.s * eps) / toy.step.a, eps)


def tfg(toy: Toy, row: GuidancePreset, noise: list[Tensor]) -> Tensor:
    """Ye et al. 2024, algorithm 1, with log f = -scale * L smoothed over the same noise."""

    def log_f(x0: Tensor) -> Tensor:
        likelihoods = torch.stack([-toy.loss(x0 + sample) for sample in noise])
        return row.scale * (likelihoods.logsumexp(dim=0) - math.log(len(noise)))

    alphas = [step.a**2 / step.a_next**2 for step in toy.solver.steps]
    structure = alphas[toy.index] * len(alphas) / sum(alphas)
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    (toward,) = gradient_of(lambda x: log_f(toy.denoised(x, toy.combined(x))), toy.x)
    delta_t = row.rho * structure * toward
    delta_0 = torch.zeros_like(x0)
    for _ in range(row.iterations if row.mu else 0):
        delta_0 = delta_0 + row.mu * structure * gradient_of(log_f, x0 + delta_0)[0]
    alpha = alphas[toy.index]
    return ddim(toy.step, toy.x, x0) + delta_t / math.sqrt(alpha) + math.sqrt(toy.step.a_next**2) * delta_0


ROWS = {
    "laion": (PRESETS["laion"], laion),
    "diffusers": (PRESETS["diffusers"].but(scale=0.7), diffusers),
    "disco, clamped": (PRESETS["disco"], disco),
    "disco, below the clamp": (PRESETS["disco"].but(scale=1e-3), disco),
    "mpgd": (PRESETS["mpgd"], mpgd),
    "freedom": (PRESETS["freedom"], freedom),
    "polyak": (PRESETS["polyak"].but(start=0.0, end=1.0), polyak),
    "universal, forward": (PRESETS["universal"].but(scale=0.5), universal),
    "universal, backward": (
        PRESETS["universal"].but(scale=0.5, rho=0.0, mu=0.3, iterations=3),
        universal,
    ),
    "universal, both": (PRESETS["universal"].but(scale=0.5, mu=0.3, iterations=3), universal),
}


@pytest.fixture(params=["epsilon", "v_prediction"])
def toy(request: pytest.FixtureRequest) -> Toy:
    return Toy(request.param)


@pytest.mark.parametrize("name", list(ROWS))
def test_a_preset_does_what_its_method_says(name: str, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    row, published = ROWS[name]
    update, _, _ = toy.guide(row, monkeypatch)
    assert update is not None
    expected = published(toy, row)
    assert (expected - toy.following(Update(torch.zeros(SHAPE), torch.zeros(SHAPE)))).abs().max() > 1e-4
    toy.solver = Toy(toy.kind).solver
    assert torch.allclose(toy.following(update), expected, rtol=1e-10, atol=1e-12)


TFG = PRESETS["tfg"].but(mu=0.4, smoothing_samples=3)
TFG_ROWS = {
    "tfg": TFG,
    "one draw": TFG.but(smoothing_samples=1),
    "no smoothing": TFG.but(smoothing=0.0),
    "mpgd: rho, sigma = 0, one iteration": TFG.but(rho=0.0, smoothing=0.0, iterations=1),
    "dps: mu, sigma = 0": TFG.but(mu=0.0, smoothing=0.0),
    "lgd: mu = 0": TFG.but(mu=0.0),
}


@pytest.mark.parametrize("name", list(TFG_ROWS))
def test_tfg_and_its_special_cases_are_those_of_its_algorithm(
    name: str, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = TFG_ROWS[name]
    update, _, calls = toy.guide(row, monkeypatch)
    assert update is not None
    x0 = toy.denoised(toy.x, toy.combined(toy.x))
    drawn = [call.latents - x0 for call in calls if isinstance(call, Guide)][: row.smoothing_samples]
    noise = drawn if row.smoothing else [torch.zeros_like(x0)]
    if row.smoothing:
        assert torch.stack(noise).std() == pytest.approx(row.smoothing * toy.step.s, rel=0.3)
    assert torch.allclose(toy.following(update), tfg(toy, row, noise), rtol=1e-10, atol=1e-12)


def test_freedom_is_tfg_with_the_strength_times_the_root_of_alpha(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TFG.but(mu=0.0, smoothing=0.0, rho=0.3, rho_factor="sqrt_alpha")
    update, _, _ = toy.guide(plain, monkeypatch)
    assert update is not None
    (g,) = gradient_of(lambda x: toy.loss(toy.denoised(x, toy.combined(x))), toy.x)
    expected = ddim(toy.step, toy.x, toy.denoised(toy.x, toy.combined(toy.x))) - 0.3 * g
    assert torch.allclose(toy.following(update), expected, rtol=1e-10, atol=1e-12)


def test_the_gradient_at_the_denoised_picture_never_goes_back_through_the_unet(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, through in (("laion", False), ("mpgd", False), ("diffusers", True), ("tfg", True)):
        _, _, calls = toy.guide(PRESETS[name], monkeypatch)  # type: ignore[index]
        assert any(isinstance(call, PullBack) for call in calls) is through


def test_a_gradient_that_is_not_finite_is_skipped_and_told(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    zero = torch.zeros(SHAPE, dtype=torch.float64)
    monkeypatch.setattr(toy, "answer", lambda call: Gradient(math.nan, {0: math.nan}, zero, False))
    update, clip_guidance, _ = toy.guide(PRESETS["laion"], monkeypatch)
    assert update is None
    [step] = clip_guidance.trace or ()
    assert (step.step, step.skipped, step.loss, step.losses, step.gradient_rms) == (
        2,
        True,
        None,
        (None,),
        None,
    )


def guided_steps(fields: dict[str, Any], losses: list[float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of a run of ten that take a gradient, when the loss goes like this."""
    toy = Toy("epsilon")
    toy.solver = SOLVERS[SamplerName.DDIM](STABLE_DIFFUSION | {"prediction_type": "epsilon"}, 10)
    guided: list[int] = []
    clip_guidance: ClipGuidance | None = None
    for toy.index in range(10):
        toy.step = toy.solver.steps[toy.index]
        value = torch.ones(SHAPE, dtype=torch.float64)
        answer = Gradient(losses[len(guided)], {}, value, True)
        monkeypatch.setattr(toy, "answer", lambda call, answer=answer: answer)
        update, clip_guidance, calls = toy.guide(PRESETS["laion"].but(**fields), monkeypatch, clip_guidance)
        guided += [toy.index] * len(calls)
        assert (update is not None) == (
            bool(calls) or (bool(fields.get("reuse")) and toy.index < 8 and bool(guided))
        )
    return guided


def test_a_gradient_is_taken_within_the_window_at_every_stride(monkeypatch: pytest.MonkeyPatch) -> None:
    falling = [1 / (step + 1) for step in range(10)]
    assert guided_steps({}, falling, monkeypatch) == list(range(10))
    assert guided_steps({"start": 0.25, "end": 0.75}, falling, monkeypatch) == [3, 4, 5, 6, 7]
    assert guided_steps({"stride": 3}, falling, monkeypatch) == [0, 3, 6, 9]
    assert guided_steps({"stride": 3, "end": 0.8, "reuse": True}, falling, monkeypatch) == [0, 3, 6]
    assert guided_steps({"stride": 2, "start": 0.3}, falling, monkeypatch) == [3, 5, 7, 9]
    assert guided_steps({"stride": 2, "start": 0.3, "last_step": False}, falling, monkeypatch) == [3, 5, 7]


def test_guidance_ends_when_the_loss_no_longer_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [1.0, 0.9, 0.8, 0.81, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79]
    assert guided_steps({"patience": 2}, losses, monkeypatch) == [0, 1, 2, 3, 4, 5, 6]
    assert guided_steps({"patience": 1}, losses, monkeypatch) == [0, 1, 2, 3]
    assert guided_steps({}, losses, monkeypatch) == list(range(10))


def test_factors_are_those_of_the_noise_schedule() -> None:
    steps = Toy("epsilon").solver.steps
    step = steps[1]
    assert factor("1", 1, steps) == 1
    assert factor("s", 1, steps) == pytest.approx(math.sqrt(1 - step.a**2))
    assert factor("s2", 1, steps) == pytest.approx(1 - step.a**2)
    assert factor("sigma", 1, steps) == pytest.approx(math.sqrt((1 - step.a**2) / step.a**2))
    assert factor("sigma2", 1, steps) == pytest.approx((1 - step.a**2) / step.a**2)
    assert factor("sqrt_alpha", 1, steps) == pytest.approx(math.sqrt(step.a**2 / step.a_next**2))
    names: tuple[Factor, ...] = ("alpha", "beta")
    for name in names:
        factors = [factor(name, index, steps) for index in range(5)]
        assert sum(factors) / 5 == pytest.approx(1)
        assert factors == sorted(factors, reverse=name == "beta")


def test_the_root_mean_square_is_that_of_each_picture_alone() -> None:
    sizes = torch.tensor([1e-6, 1.0, 1e4]).view(3, 1, 1, 1)
    assert torch.allclose(rms(torch.randn(3, 4, 64, 64) * sizes) / sizes, torch.ones(3, 1, 1, 1), rtol=0.05)
