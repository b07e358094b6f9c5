from typing import Any

import pytest

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.guidance import Guidance
from jobs.requests.objectives import TextObjective
from jobs.requests.presets import PRESETS
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.requests.start.seeds import MAX_SEED
from jobs.resolve.request import resolve


def test_every_default_comes_from_the_first_model(catalog: Catalog) -> None:
    resolved = resolve(GenerateRequest(prompt="a red apple"), catalog)
    card = catalog.models[0]
    assert resolved.model_dump(exclude={"seed"}) == {
        "prompt": "a red apple",
        "negative_prompt": "",
        "prompt_syntax": "plain",
        "long_prompt": "cut",
        "model": card.id,
        "width": card.width,
        "height": card.height,
        "steps": card.steps,
        "cfg_scale": card.cfg_scale,
        "cfg_embedded": False,
        "sampler": card.sampler,
        "schedule": card.schedule,
        "eta": 0.0,
        "clip_skip": card.clip_skip,
        "guidance_rescale": 0.0,
        "num_images": 1,
        "guidance": None,
        "edit": None,
        "init": None,
        "mask": None,
        "outpaint": None,
        "adapters": (),
        "controls": (),
        "image_prompts": (),
        "sizes": None,
        "refiner": None,
        "variation": None,
        "hires": None,
        "preview_every_steps": None,
        "personalization": None,
        "select": None,
        "upscale": None,
        "timeout_s": 3600,
        "priority": "normal",
        "labels": (),
    }


def test_a_named_model_brings_its_own_defaults(catalog: Catalog) -> None:
    other = catalog.models[1]
    resolved = resolve(GenerateRequest(prompt="x", model=other.id, guidance=Guidance()), catalog)
    assert (resolved.model, resolved.width, resolved.cfg_scale) == (other.id, other.width, other.cfg_scale)
    assert resolved.guidance is not None
    assert resolved.guidance.clip == other.clip


def test_what_is_given_stays(catalog: Catalog) -> None:
    given: dict[str, Any] = {
        "prompt": "a red apple",
        "negative_prompt": "blurry",
        "prompt_syntax": "a1111",
        "long_prompt": "cut",
        "model": "pocket",
        "width": 96,
        "height": 48,
        "steps": 3,
        "cfg_scale": 0.0,
        "cfg_embedded": False,
        "sampler": SamplerName.DDIM,
        "schedule": ScheduleName.DEFAULT,
        "eta": 0.8,
        "clip_skip": 2,
        "guidance_rescale": 0.5,
        "seed": 0,
        "num_images": 2,
        "guidance": {
            "preset": "tfg",
            "clip": "pocket-s",
            "objectives": (
                {
                    "type": "text",
                    "text": "a pear",
                    "clip": "pocket-m",
                    "weight": 1.0,
                    "start": 0.0,
                    "end": 0.5,
                },
                {"type": "tv", "weight": 0.5, "start": 0.25, "end": 1.0},
            ),
            "scale": 0.0,
            "cutouts": 1,
            "overview_cuts": "[1]*2+[0]",
            "inner_cuts": "1",
            "cut_pow": 2.0,
            "stratified": True,
            "start": 0.1,
            "end": 0.9,
            "last_step": False,
            "stride": 2,
            "reuse": True,
            "patience": 3,
            "recurrences": 2,
            "iterations": 3,
            "rho": 0.0,
            "mu": 1.0,
            "clamp": 0.1,
            "smoothing": 0.0,
            "smoothing_samples": 2,
            "blur": 0.1,
            "decoder": "linear",
            "trace": True,
        },
        "edit": None,
        "init": None,
        "mask": None,
        "outpaint": None,
        "adapters": (),
        "controls": (),
        "image_prompts": (),
        "sizes": None,
        "refiner": None,
        "variation": None,
        "hires": None,
        "preview_every_steps": 2,
        "personalization": None,
        "select": None,
        "upscale": None,
        "timeout_s": 5.0,
        "priority": "high",
        "labels": (),
    }
    assert resolve(GenerateRequest.model_validate(given), catalog).model_dump() == given


def test_guidance_takes_its_numbers_from_the_preset_its_clip_from_the_model_its_text_from_the_prompt(
    catalog: Catalog,
) -> None:
    guidance = resolve(GenerateRequest(prompt="a red apple", guidance=Guidance(stride=3)), catalog).guidance
    assert guidance is not None
    assert (guidance.preset, guidance.clip, guidance.stride, guidance.trace) == (
        "fast",
        "pocket-m",
        3,
        False,
    )
    [text] = guidance.objectives
    assert isinstance(text, TextObjective)
    assert (text.text, text.clip, text.weight) == ("a red apple", "pocket-m", 1)
    for name, value in PRESETS["fast"].parameters().items():
        assert getattr(guidance, name) == (3 if name == "stride" else value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": "nope"}, "model"),
        ({"guidance": {"clip": "nope"}}, "guidance.clip"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    catalog: Catalog, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(UnknownModelError, match="'nope' is not in the catalog; it holds: pocket") as caught:
        resolve(GenerateRequest(prompt="x", **fields), catalog)
    assert caught.value.field == named


@pytest.mark.parametrize("field", ["width", "height"])
class TestSize:
    @pytest.mark.parametrize("px", [32, 144])
    def test_outside_the_model_s_range_is_refused_naming_field_and_limits(
        self, catalog: Catalog, field: str, px: int
    ) -> None:
        with pytest.raises(InvalidRequestError, match=rf"{field} {px} .*'pocket'.* 48 to 128 px") as caught:
            resolve(GenerateRequest.model_validate({"prompt": "x", field: px}), catalog)
        assert caught.value.field == field

    def test_between_the_model_s_steps_is_refused_naming_field_and_step(
        self, catalog: Catalog, field: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=rf"{field} 72 is not a multiple of 16") as caught:
            resolve(GenerateRequest.model_validate({"prompt": "x", field: 72}), catalog)
        assert caught.value.field == field

    @pytest.mark.parametrize("px", [48, 128])
    def test_the_limits_themselves_are_fine(self, catalog: Catalog, field: str, px: int) -> None:
        assert (
            getattr(resolve(GenerateRequest.model_validate({"prompt": "x", field: px}), catalog), field) == px
        )


def test_eta_is_for_ddim_and_tcd_alone(catalog: Catalog) -> None:
    assert resolve(GenerateRequest(prompt="x", eta=0.8), catalog).eta == 0.8
    assert resolve(GenerateRequest(prompt="x", eta=0.3, sampler=SamplerName.TCD), catalog).eta == 0.3
    with pytest.raises(
        InvalidRequestError, match="eta is of the samplers ddim and tcd alone, and this is heun"
    ) as caught:
        resolve(GenerateRequest(prompt="x", eta=0.8, sampler=SamplerName.HEUN), catalog)
    assert caught.value.field == "eta"


class TestSeed:
    def test_it_is_drawn_anew_for_each_request(self, catalog: Catalog) -> None:
        seeds = {resolve(GenerateRequest(prompt="x"), catalog).seed for _ in range(20)}
        assert len(seeds) > 1
        assert all(0 <= seed <= MAX_SEED for seed in seeds)

    def test_the_last_picture_s_seed_may_be_the_largest(self, catalog: Catalog) -> None:
        request = GenerateRequest(prompt="x", seed=MAX_SEED - 3, num_images=4)
        assert resolve(request, catalog).seed == MAX_SEED - 3

    def test_one_that_leaves_no_room_for_all_pictures_is_refused(self, catalog: Catalog) -> None:
        with pytest.raises(InvalidRequestError, match=f"no room for 4 pictures.* {MAX_SEED}") as caught:
            resolve(GenerateRequest(prompt="x", seed=MAX_SEED - 2, num_images=4), catalog)
        assert caught.value.field == "seed"


NO_STEP: list[tuple[int, dict[str, object], str]] = [
    (4, {"preset": "fast"}, "steps"),
    (1, {"last_step": False}, "steps"),
    (25, {"start": 0.61, "end": 0.63}, "guidance.start"),
    (5, {"preset": "mpgd", "end": 0.35}, "guidance.end"),
]


@pytest.mark.parametrize(("steps", "guidance", "field"), NO_STEP)
def test_guidance_of_no_step_is_refused(
    catalog: Catalog, steps: int, guidance: dict[str, object], field: str
) -> None:
    asked = {"prompt": "x", "steps": steps, "guidance": guidance}
    with pytest.raises(InvalidRequestError, match=f"none of {steps} steps would be guided") as caught:
        resolve(GenerateRequest.model_validate(asked), catalog)
    assert caught.value.field == field


def test_guidance_of_one_step_or_of_no_strength_is_not(catalog: Catalog) -> None:
    for steps, guidance in ((5, {"preset": "fast"}), (1, {}), (4, {"preset": "fast", "scale": 0})):
        asked = {"prompt": "x", "steps": steps, "guidance": guidance}
        assert resolve(GenerateRequest.model_validate(asked), catalog).guidance


@pytest.mark.parametrize(
    ("steps", "guidance", "preset"),
    [
        (25, {}, "fast"),
        (5, {}, "fast"),
        (4, {}, "laion"),
        (1, {}, "laion"),
        (25, {"end": 0.5}, "laion"),
        (25, {"start": 0, "end": 0.5}, "fast"),
        (25, {"preset": "laion"}, "laion"),
    ],
)
def test_without_a_preset_the_one_that_gains_most_for_its_cost_guides_if_it_guides_a_step(
    catalog: Catalog, steps: int, guidance: dict[str, object], preset: str
) -> None:
    asked = {"prompt": "x", "steps": steps, "guidance": guidance}
    resolved = resolve(GenerateRequest.model_validate(asked), catalog).guidance
    assert resolved is not None
    assert resolved.preset == preset


@pytest.mark.parametrize(
    ("window", "field"), [({"end": 0.5}, "guidance.end"), ({"start": 0.7, "end": 0.5}, "guidance.start")]
)
def test_an_empty_window_is_refused_naming_the_field_that_was_given(
    catalog: Catalog, window: dict[str, float], field: str
) -> None:
    asked = {"prompt": "x", "guidance": {"preset": "fast", **window}}
    with pytest.raises(InvalidRequestError, match=r"would start at .* and end at 0\.5") as caught:
        resolve(GenerateRequest.model_validate(asked), catalog)
    assert caught.value.field == field


@pytest.mark.parametrize("prompt", ["", " ", "\n"])
def test_an_empty_prompt_is_drawn_without_words(catalog: Catalog, prompt: str) -> None:
    assert resolve(GenerateRequest(prompt=prompt), catalog).prompt == prompt
    guidance = Guidance(prompt="a red apple")
    assert resolve(GenerateRequest(prompt=prompt, guidance=guidance), catalog).guidance is not None


@pytest.mark.parametrize("prompt", ["", " "])
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"guidance": {}}, "guidance.prompt"),
        ({"guidance": {"prompt": " "}}, "guidance.prompt"),
        ({"select": {"candidates": 2}}, "select.by"),
        ({"select": {"candidates": 2, "by": {"clip": 1, "aesthetic": 1}}}, "select.by"),
    ],
)
def test_nothing_is_compared_with_an_empty_prompt(
    catalog: Catalog, prompt: str, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError, match="the prompt is empty") as caught:
        resolve(GenerateRequest.model_validate({"prompt": prompt, **fields}), catalog)
    assert caught.value.field == field
