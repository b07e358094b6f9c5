"""A picture that is interrupted after every step goes on elsewhere to the same bits, by every sampler."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SamplerName
from tests.worker.engine.test_batching import start_of
from tests.worker.sampling.starting import KEPT, MASK
from tests.worker.states.putting_down import goes_on_alike, states_of, through_a_file
from worker.engine.runner import Runner
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs
from worker.pictures.picture import Picture
from worker.sampling.solvers.base import Solver
from worker.states.state import PictureState

Ask = Callable[..., ResolvedRequest]
STEPS = 6
EVERYWHERE = {"cutouts": 2, "scale": 1.0, "start": 0.0, "end": 1.0, "trace": True, "last_step": True}
BOX: dict[str, Any] = {"init": {"image": KEPT, "strength": 1.0}, "mask": {"image": MASK, "soft": True}}
# What guidance, masks and further passes remember, each with a solver that has a long memory or draws noise.
OTHERS: dict[str, dict[str, Any]] = {
    "reused": {"guidance": {**EVERYWHERE, "stride": 3, "reuse": True}},
    "impatient": {"guidance": {**EVERYWHERE, "patience": 1}},
    "again": {"guidance": {**EVERYWHERE, "recurrences": 3}, "sampler": "euler_ancestral"},
    "smooth": {"guidance": {**EVERYWHERE, "smoothing": 0.5, "smoothing_samples": 2}},
    "tfg": {"guidance": {**EVERYWHERE, "preset": "tfg"}, "sampler": "lms"},
    "mask": {**BOX, "sampler": "dpmpp_3m_sde"},
    "guided mask": {**BOX, "guidance": EVERYWHERE, "sampler": "unipc"},
    "from a picture": {"init": {"image": KEPT, "strength": 0.7, "exact_steps": True}, "sampler": "pndm"},
    "two passes": {
        "hires": {"scale": 1.5, "steps": 4, "strength": 0.8},
        "guidance": EVERYWHERE,
        "sampler": "lms",
    },
    "variation": {"variation": {"seed": 3, "strength": 0.4}, "sampler": "dpmpp_sde"},
    "changing prompt": {"prompt": "a [red:blue:0.5] apple", "sampler": "dpmpp_2m"},
    "no negative": {"cfg_scale": 1.0, "sampler": "dpm2_ancestral", "guidance_rescale": 0.0},
}


@pytest.mark.parametrize("guidance", [None, EVERYWHERE], ids=["plain", "guided"])
@pytest.mark.parametrize("sampler", SamplerName)
def test_a_picture_goes_on_after_each_step_to_the_same_bits(
    tiny: ModelRegistry, ask: Ask, sampler: SamplerName, guidance: dict[str, Any] | None
) -> None:
    goes_on_alike(tiny, ask(steps=STEPS, sampler=sampler, guidance=guidance))


@pytest.mark.parametrize("kind", OTHERS)
def test_so_does_a_picture_of_another_kind(tiny: ModelRegistry, ask: Ask, kind: str) -> None:
    request = ask(**{"steps": STEPS} | OTHERS[kind])
    goes_on_alike(tiny, request, Inputs() if request.init is None else Inputs(canvas=start_of(request)))


@pytest.mark.parametrize("part", ["x", "past 0", "past 1", "past 2"])
def test_a_part_that_is_left_out_shows(tiny: ModelRegistry, ask: Ask, part: str) -> None:
    request = ask(steps=STEPS, sampler="pndm")
    *states, whole = states_of(Runner(tiny), request, Inputs())
    state = states[3]
    assert isinstance(state, PictureState)
    state.at.parts[part].zero_()
    *_, picture = states_of(Runner(tiny), request, Inputs(), through_a_file(state))
    assert isinstance(picture, Picture)
    assert isinstance(whole, Picture)
    assert not torch.equal(picture.pixels, whole.pixels)


def test_a_solver_that_remembers_more_than_its_state_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="Forgetful must say `__slots__"):

        class Forgetful(Solver):
            pass
