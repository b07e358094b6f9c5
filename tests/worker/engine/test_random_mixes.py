"""Random mixes of jobs on tiny random networks; ``test_batching.py`` has a few on the pocket models.

``LODESTAR_TEST_MIXES=200 pytest tests/worker/engine/test_random_mixes.py`` tries as many; the default is twenty.
"""

import os
import random
from collections.abc import Callable

import pytest

from jobs.catalog.catalog import Catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import SCHEDULES, WITH_ETA, SamplerName
from jobs.resolve.request import resolve
from tests.worker.engine.test_batching import assert_alike, run_alone, run_together
from tests.worker.running import TOLERANCE
from worker.models.registry import ModelRegistry

MIXES = int(os.environ.get("LODESTAR_TEST_MIXES", "20"))
AT_ONCE = 10  # mixes that are run alone by one runner, since each has to learn what fits the memory


@pytest.mark.slow("makes pictures of random mixes of jobs, each alone and in a batch")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(MIXES // AT_ONCE))
def test_a_mix_gives_the_pictures_that_each_job_gives_alone(
    part: int, tiny: ModelRegistry, pocket_catalog: Catalog
) -> None:
    chance = random.Random(part)
    mixes = [
        [resolve(GenerateRequest.model_validate(any_picture(chance)), pocket_catalog) for _ in range(count)]
        for count in (chance.randint(2, 5) for _ in range(AT_ONCE))
    ]
    alone = iter(run_alone(tiny, [request for mix in mixes for request in mix]))
    for mix in mixes:
        assert_alike(run_together(tiny, mix), [next(alone) for _ in mix])


def test_pictures_of_tiny_networks_would_show_a_difference(
    tiny: ModelRegistry, ask: Callable[..., ResolvedRequest]
) -> None:
    guided = {"cutouts": 2, "scale": 1.0, "start": 0.0}
    asked = [ask(seed=1), ask(seed=2), ask(seed=1, guidance=guided), ask(seed=1, sampler="euler")]
    (first,), *others = run_alone(tiny, asked)
    for (other,) in others:
        assert (other - first).abs().max() > 10 * TOLERANCE


def any_picture(chance: random.Random) -> dict[str, object]:
    """The fields of a request of any sampler, steps, scales and guidance."""
    sampler = chance.choice(list(SamplerName))
    fields: dict[str, object] = {
        "prompt": chance.choice(["a red apple", "x"]),
        "seed": chance.randrange(2**32),
        "sampler": sampler,
        "schedule": chance.choice(SCHEDULES[sampler]),
        "steps": chance.randint(1, 4),
        "cfg_scale": chance.choice([0.0, 1.0, 1.5, 4.0]),
        "width": chance.choice([64, 64, 96]),
    }
    if sampler in WITH_ETA:
        fields["eta"] = chance.choice([0.0, 0.8])
    if chance.random() < 0.4:
        fields["guidance"] = {
            "preset": chance.choice(["laion", "disco", "tfg", "fast"]),
            "cutouts": chance.randint(1, 3),
            "start": 0.0,
            "end": 1.0,
            "last_step": True,
            "recurrences": chance.choice([1, 1, 2]),
        }
    return fields
