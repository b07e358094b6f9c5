"""Fields that other services' clients send without a value, and their customary names."""

from typing import Any

import pytest

from app.api.dialects.a1111 import request as a1111
from app.api.dialects.a1111.checkpoints import card_of
from app.api.dialects.openai import request as openai
from app.api.dialects.replicate import request as replicate
from app.api.dialects.schedulers import sampling_named
from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import SamplerName, ScheduleName
from jobs.resolve.request import resolve

PROMPT = "a red apple"


def of_openai(catalog: Catalog, **fields: Any) -> GenerateRequest:
    return openai.to_native(openai.ImageGeneration.model_validate({"prompt": PROMPT, **fields}), catalog)[0]


def of_a1111(catalog: Catalog, **fields: Any) -> GenerateRequest:
    return a1111.to_native(a1111.TextToImage.model_validate({"prompt": PROMPT, **fields}), None, catalog)


def of_replicate(catalog: Catalog, **fields: Any) -> GenerateRequest:
    body = replicate.PredictionBody.model_validate({"input": {"prompt": PROMPT, **fields}})
    return replicate.to_native(body, catalog.models[0], catalog)[0]


def seedless(request: GenerateRequest, catalog: Catalog) -> dict[str, Any]:
    return resolve(request, catalog).model_dump(exclude={"seed"})


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_an_empty_text_mean_left_out_in_every_dialect(catalog: Catalog, nothing: str | None) -> None:
    for native, model in (
        (of_openai, openai.ImageGeneration),
        (of_a1111, a1111.TextToImage),
        (of_replicate, replicate.PredictionInput),
    ):
        optional = [name for name in model.model_fields if name not in {"prompt", "negative_prompt"}]
        plain, empty = native(catalog), native(catalog, **dict.fromkeys(optional, nothing))
        assert seedless(empty, catalog) == seedless(plain, catalog)


def test_an_empty_prompt_is_a_prompt_in_every_dialect(catalog: Catalog) -> None:
    for native in (of_openai, of_a1111, of_replicate):
        assert native(catalog, prompt="", negative_prompt="").prompt == ""
    assert a1111.to_native(a1111.TextToImage.model_validate({}), None, catalog).prompt == ""


def test_a_size_may_be_written_in_any_case(catalog: Catalog) -> None:
    request = of_openai(catalog, size="96X64")
    assert (request.width, request.height) == (96, 64)
    assert of_openai(catalog, size="AUTO").width is None


@pytest.mark.parametrize("seed", [-1, -2, -(2**40)])
def test_a_negative_seed_draws_one(catalog: Catalog, seed: int) -> None:
    assert of_a1111(catalog, seed=seed).seed is None
    assert of_a1111(catalog, seed=0).seed == 0


@pytest.mark.parametrize(
    "title",
    [
        "big",
        "big.safetensors",
        "big.ckpt",
        "big [6ce0161689]",
        "big.safetensors [6ce0161689]",
        " big.PT[0a1b] ",
    ],
)
def test_a_checkpoint_is_known_by_its_title_its_file_and_its_hash(catalog: Catalog, title: str) -> None:
    assert card_of(title, catalog, field="x").id == "big"
    assert of_a1111(catalog, override_settings={"sd_model_checkpoint": title}).model == "big"


@pytest.mark.parametrize(
    ("title", "error"),
    [
        ("bigger", UnknownModelError),
        ("big.safetensors.zip", UnknownModelError),
        ("[6ce0161689]", UnknownModelError),
        (" [" * 500_000 + "]", UnknownModelError),
        (["big"], InvalidRequestError),
        (3, InvalidRequestError),
    ],
)
def test_any_other_is_not(catalog: Catalog, title: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        card_of(title, catalog, field="x")


def test_an_empty_argument_of_the_guidance_script_is_left_out(catalog: Catalog) -> None:
    args = [True, "laion", "", "", None, 8]
    guidance = of_a1111(catalog, alwayson_scripts={"CLIP guidance": {"args": args}}).guidance
    assert guidance is not None
    assert (guidance.clip, guidance.prompt, guidance.cutouts) == (None, None, 8)


def test_a_schedule_without_a_sampler_is_taken_where_the_model_s_own_sampler_supports_it(
    catalog: Catalog,
) -> None:
    assert of_a1111(catalog, scheduler="Karras").schedule is None
    cards = tuple(card.model_copy(update={"sampler": SamplerName.EULER}) for card in catalog.models)
    euler = catalog.model_copy(update={"models": cards})
    assert of_a1111(euler, scheduler="Karras").schedule is ScheduleName.KARRAS
    assert of_a1111(euler, scheduler="Automatic").schedule is None


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("KLMS", SamplerName.LMS),
        ("k_lms", SamplerName.LMS),
        ("LMSDiscreteScheduler", SamplerName.LMS),
        ("HeunDiscrete", SamplerName.HEUN),
        ("PNDMScheduler", SamplerName.PNDM),
        ("DPMSolverMultistepScheduler", SamplerName.DPMPP_2M),
        ("KDPM2AncestralDiscreteScheduler", SamplerName.DPM2_ANCESTRAL),
        ("DPMSolverSDE", SamplerName.DPMPP_SDE),
        ("LCMScheduler", SamplerName.LCM),
        ("TCDScheduler", SamplerName.TCD),
        ("DDPM", SamplerName.DDPM),
        ("ddim", SamplerName.DDIM),
    ],
)
def test_a_scheduler_is_known_by_the_names_of_replicate_and_of_diffusers(
    name: str, sampler: SamplerName
) -> None:
    assert sampling_named(name, field="x") == (sampler, ScheduleName.DEFAULT)


def test_every_native_sampler_is_a_scheduler() -> None:
    assert {sampling_named(str(sampler), field="x")[0] for sampler in SamplerName} == set(SamplerName)
