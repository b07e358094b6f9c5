"""Weights of particles and their draws."""

import math
from collections import Counter

import pytest
import torch

from jobs.requests.selection import Potential
from worker.events import Past
from worker.sampling.resampling.weighing import ancestors, log_potential, shares


def test_potentials_are_those_of_the_paper() -> None:
    past = Past().then(0.2).then(0.5).then(0.3)
    assert past == Past(0.3, 0.5, 1.0)
    assert log_potential(Potential.DIFFERENCE, past, 0.4) == pytest.approx(0.1)
    assert log_potential(Potential.MAX, past, 0.4) == 0.5
    assert log_potential(Potential.MAX, past, 0.6) == 0.6
    assert log_potential(Potential.SUM, past, 0.4) == pytest.approx(1.4)
    assert log_potential(Potential.DIFFERENCE, Past(), 0.4) == 0.4


@pytest.mark.parametrize("potential", Potential)
def test_a_reward_that_is_not_finite_has_no_chance_and_leaves_the_past(potential: Potential) -> None:
    past = Past().then(0.2)
    assert past.then(math.nan) == past
    assert log_potential(potential, past, math.nan) == -math.inf
    assert shares([-math.inf, 0.5, math.nan], 3) == [0, 1, 0]
    assert shares([math.nan, -math.inf], 3) == [0.5, 0.5]


def test_shares_are_a_softmax_and_large_strengths_do_not_overflow() -> None:
    values = [0.1, 0.4, -0.2]
    torch.testing.assert_close(
        torch.tensor(shares(values, 7.0)), (7 * torch.tensor(values)).softmax(0), rtol=1e-6, atol=0
    )
    assert shares(values, 0) == pytest.approx([1 / 3] * 3)
    assert shares([1e4, 1e4 - 1], 1e4) == [1, 0]


def test_each_particle_has_the_floor_or_the_ceiling_of_its_descendants_and_survivors_stay() -> None:
    rng = torch.Generator().manual_seed(0)
    for _ in range(300):
        count = int(torch.randint(1, 17, (), generator=rng))
        probabilities = (4 * torch.randn(count, generator=rng)).softmax(0).double()
        found = ancestors(probabilities.tolist(), float(torch.rand((), generator=rng)))
        born = Counter(found)
        assert sum(born.values()) == count
        for number, probability in enumerate(probabilities.tolist()):
            assert abs(born[number] - count * probability) < 1 + 1e-9
            assert (found[number] == number) is (born[number] > 0)


def test_descendants_are_in_proportion_in_the_mean() -> None:
    probabilities, born = [0.5, 0.3, 0.15, 0.05], Counter[int]()
    for start in range(1000):
        born.update(ancestors(probabilities, start / 1000))
    assert [born[number] / 4000 for number in range(4)] == pytest.approx(probabilities, abs=0.002)


def test_one_certain_particle_is_everybodys_ancestor() -> None:
    assert ancestors([0, 1, 0, 0], 0.999) == [1, 1, 1, 1]
    assert ancestors([1 / 3] * 3, 0.0) == [0, 1, 2]
