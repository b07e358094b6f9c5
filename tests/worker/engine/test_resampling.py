"""Candidates that are drawn anew during the run, in the engine."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.errors import LodestarError
from jobs.requests.request import ResolvedRequest
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.registry import ModelRegistry
from worker.sampling.inputs import SamplerInputs

Ask = Callable[..., ResolvedRequest]
STEPS = 6


def steered(ask: Ask, candidates: int = 4, **fields: Any) -> ResolvedRequest:
    resample = {"at": [0.5], "strength": 10_000, **fields.pop("resample", {})}
    select = {
        "candidates": candidates,
        "keep": candidates,
        "by": fields.pop("by", "clip"),
        "resample": resample,
    }
    return ask(**{"sampler": "euler_ancestral", "steps": STEPS, "seed": 3, "select": select, **fields})


def pictures(request: ResolvedRequest, models: ModelRegistry) -> Tensor:
    ((*made,),) = generate_all([request], Runner(models))
    return torch.stack([picture.pixels for picture in made])


def spread(made: Tensor) -> float:
    """Mean distance of the pictures from their mean."""
    return float((made - made.mean(dim=0)).abs().mean())


def test_all_go_on_as_the_best_one_and_part_again_by_their_own_noise(models: ModelRegistry, ask: Ask) -> None:
    apart = pictures(steered(ask, resample={"strength": 0}), models)
    late = pictures(steered(ask, resample={"at": [0.6]}), models)
    assert spread(late) < 0.8 * spread(apart)
    assert late.flatten(1).unique(dim=0).shape[0] == len(late)


def test_a_strength_of_zero_changes_nothing(models: ModelRegistry, ask: Ask) -> None:
    plain = ask(sampler="euler_ancestral", steps=STEPS, seed=3, num_images=4)
    made = pictures(steered(ask, resample={"strength": 0}), models)
    torch.testing.assert_close(made, pictures(plain, models), atol=1e-3, rtol=0)


def test_search_raises_what_it_searches_for(trained: ModelRegistry, ask: Ask) -> None:
    def similarity(request: ResolvedRequest) -> float:
        clip = trained.clip("pocket-m")
        target = clip.embed_text(request.prompt)
        small = torch.nn.functional.interpolate(
            pictures(request, trained), (clip.px, clip.px), mode="bicubic"
        )
        return float((clip.embed(small.clamp(0, 1)) * target).sum(dim=1).mean())

    # Without classifier-free guidance a seed draws any thing, so there is something to find.
    searched = {"at": [0.5, 0.8], "strength": 1000}
    plain, found = (
        sum(
            similarity(steered(ask, 8, prompt=f"noto {name}", seed=seed, cfg_scale=0, resample=resample))
            for seed, name in enumerate(("fox", "teapot"))
        )
        for resample in ({"strength": 0}, searched)
    )
    assert found > plain


def test_a_second_group_meets_by_itself_and_neighbours_change_nothing(
    models: ModelRegistry, ask: Ask
) -> None:
    many = steered(ask, 18, steps=3, resample={"at": [0.4]})
    alone = pictures(many, models)
    assert len(alone) == 18
    other = steered(ask, 3, prompt="a rocket", seed=9)
    beside, _ = generate_all([many, other], Runner(models))
    torch.testing.assert_close(torch.stack([each.pixels for each in beside]), alone, atol=1e-3, rtol=0)


def test_solvers_with_memory_and_guidance_take_their_memory_along(models: ModelRegistry, ask: Ask) -> None:
    request = steered(
        ask, sampler="dpmpp_2m_sde", guidance={"preset": "laion", "cutouts": 2}, resample={"at": [0.3, 0.6]}
    )
    made = pictures(request, models)
    assert bool(made.isfinite().all())
    assert spread(made) > 0


def test_a_picture_by_itself_is_not_drawn_anew(models: ModelRegistry, ask: Ask) -> None:
    made = generate(steered(ask), Runner(models), SamplerInputs("pocket-eval", None), index=0)
    plain = generate(
        ask(sampler="euler_ancestral", steps=STEPS, seed=3),
        Runner(models),
        SamplerInputs("pocket-eval", None),
    )
    torch.testing.assert_close(made.pixels, plain.pixels, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"sampler": "ddim"}, "eta", "adds no noise"),
        ({"sampler": "heun"}, "sampler", "adds no noise"),
        ({"prompt": " ", "by": "aesthetic"}, "select.resample", "prompt is empty"),
        ({"steps": 1}, "select.resample.at", "one step"),
        ({"resample": {"clip": "nope"}}, "select.resample.clip", "not in the catalog"),
    ],
)
def test_what_could_not_part_again_is_refused(
    fields: dict[str, Any], field: str, said: str, ask: Ask
) -> None:
    with pytest.raises(LodestarError, match=said) as refused:
        steered(ask, **fields)
    assert refused.value.field == field


def test_the_clip_that_steers_does_not_choose(ask: Ask) -> None:
    request = steered(ask)
    assert request.select is not None
    assert request.select.resample is not None
    assert request.select.resample.clip == "pocket-m"
    assert request.select.scorer not in (
        request.select.resample.clip,
        *(request.guidance.clips if request.guidance else ()),
    )
    assert steered(ask, sampler="ddim", eta=0.8).select is not None


@pytest.mark.parametrize("shares", [[], [0.5, 0.5], [0.7, 0.3], [0], [1], [0.1] * 17])
def test_shares_of_the_run_rise_within_it(shares: list[float], ask: Ask) -> None:
    with pytest.raises(ValueError, match="at"):
        steered(ask, resample={"at": shares})
