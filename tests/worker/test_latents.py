"""The states of a batch's pictures share tensors, and no picture notices."""

import pytest
import torch
from torch import Tensor

from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION
from worker.latents import LatentState, Parts, Stack, advanced, calls_of, gathered, move_on
from worker.patterns import OUTPUT, PARTS
from worker.sampling.linear_run import LinearRun, linear_run

STEPS = 6
SHAPE = (1, 4, 8, 8)


def run_of(name: SamplerName) -> LinearRun:
    return linear_run(name, STABLE_DIFFUSION, STEPS, ScheduleName.DEFAULT, 0.0)


def random(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def take(states: list[LatentState]) -> Tensor:
    """One call of all; the output."""
    before = gathered(states)
    output = torch.tanh(before.latents)
    outputs = [(output, torch.ones(len(states), 1, 1, 1))]
    move_on(states, advanced(states, before, calls_of(states), outputs, torch.cos(before.latents)))
    return output


def step(state: LatentState, run: LinearRun, number: int) -> list[tuple[Tensor, Tensor]]:
    """The latents and the output of each call of a step."""
    return [(state.x, take([state])) for _ in run.calls[number]]


def memory(state: LatentState) -> list[Tensor]:
    return [part[state.row].clone() for part in state.stack.parts[1:] if part is not None]


def test_values_that_only_grow_older_are_not_copied() -> None:
    states = [LatentState(run_of(SamplerName.LMS).coefficients, random(seed)) for seed in range(3)]
    before: Parts = ()
    for _ in range(4):
        before = gathered(states).parts
        take(states)
    after = states[0].stack.parts
    for older, younger in (("past 1", "past 0"), ("past 2", "past 1"), ("past 3", "past 2")):
        assert after[PARTS.index(older)] is before[PARTS.index(younger)]


@pytest.mark.parametrize("name", list(SamplerName))
def test_the_output_enters_one_sum_of_a_call_and_no_sum_is_longer_than_the_solver_s_own(
    name: SamplerName,
) -> None:
    for each in run_of(name).coefficients.patterns:
        sums = [made for made in each.parts if isinstance(made, tuple)]
        assert len(sums) <= 3
        assert sum(map(len, sums)) <= 10
        assert sum(OUTPUT in terms for terms in each.terms) == 1


@pytest.mark.parametrize("name", list(SamplerName))
def test_moving_the_latents_changes_no_earlier_answer(name: SamplerName) -> None:
    run = run_of(name)
    state = LatentState(run.coefficients, random(0))
    for number in range(STEPS):
        answers = step(state, run, number)
        kept = [(x.clone(), output.clone()) for x, output in answers]
        state.shift(number, random(number))
        for (x, output), (x_kept, output_kept) in zip(answers, kept, strict=True):
            assert torch.equal(x, x_kept)
            assert torch.equal(output, output_kept)


@pytest.mark.parametrize("name", list(SamplerName))
def test_a_step_that_is_repeated_starts_from_the_same_memory_each_time(name: SamplerName) -> None:
    run = run_of(name)
    state = LatentState(run.coefficients, random(0))
    for number in range(3):
        step(state, run, number)
    marked, called = memory(state), state.call
    state.mark()
    for taken in range(3):
        if taken:
            state.renoise(0.9, random(taken))
            assert all(map(torch.equal, memory(state), marked))
            assert state.call == called
        step(state, run, 3)
        state.shift(3, random(10 + taken))


@pytest.mark.parametrize("name", list(SamplerName))
def test_moving_one_picture_moves_no_other_of_its_batch(name: SamplerName) -> None:
    run = run_of(name)
    states = [LatentState(run.coefficients, random(seed)) for seed in range(2)]
    for number in range(STEPS):
        for _ in run.calls[number]:
            take(states)
        other = states[1].x.clone(), memory(states[1])
        states[0].shift(number, random(number))
        assert torch.equal(states[1].x, other[0])
        assert all(map(torch.equal, memory(states[1]), other[1]))


def ends(runs: list[LinearRun]) -> list[Tensor]:
    """The latents of pictures that stay together; those before a call are whole until the call after it is done."""
    states = [LatentState(run.coefficients, random(seed)) for seed, run in enumerate(runs)]
    held: list[tuple[Tensor, Tensor]] = []
    for number in range(STEPS):
        for _ in range(min(len(run.calls[number]) for run in runs)):
            latents = gathered(states).latents
            held = [*held[-1:], (latents, latents.clone())]
            take(states)
            assert all(torch.equal(latents, before) for latents, before in held)
        if len(set(runs)) == 1:
            states[1].shift(number, random(number))
            held = []  # in place
    return [state.x.clone() for state in states]


@pytest.mark.parametrize("names", [*([name] for name in SamplerName), list(SamplerName)])
def test_memory_is_written_again_where_nothing_reads_it(
    names: list[SamplerName], monkeypatch: pytest.MonkeyPatch
) -> None:
    reused = 0

    def spoiled(stack: Stack) -> Tensor:
        nonlocal reused
        reused += bool(stack.spare)
        memory = stack.spare.pop() if stack.spare else torch.empty_like(stack.latents)
        return memory.fill_(float("nan"))

    runs = [run_of(name) for name in names for _ in range(3)]
    monkeypatch.setattr(Stack, "memory", lambda stack: torch.empty_like(stack.latents))
    expected = ends(runs)
    monkeypatch.setattr(Stack, "memory", spoiled)
    assert all(map(torch.equal, ends(runs), expected))
    assert reused >= STEPS - 3
