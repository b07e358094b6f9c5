"""The text of a picture is what readers of A1111's infotexts read."""

from collections.abc import Callable

import pytest

from jobs.prompts.networks import without_adapters
from jobs.requests.conditions.adapters import ResolvedAdapter
from jobs.requests.conditions.refiner import ResolvedRefiner
from jobs.requests.enlarging import ResolvedUpscale
from jobs.requests.labels import LABELS, SCHEDULE_LABELS
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.request import ResolvedRequest
from jobs.requests.samplers import SCHEDULES, SamplerName, ScheduleName
from tests.infotext import read_infotext
from worker.pictures.infotext import infotext

Ask = Callable[..., ResolvedRequest]

PERSONALIZATION = ResolvedPersonalization(
    embedding="warm",
    digest="0" * 64,
    steps=3,
    lr=1e-4,
    weight=0.9,
    blend="lerp",
    text=None,
    text_angle=0,
    text_negative=False,
)


@pytest.mark.parametrize("sampler", SamplerName)
def test_every_sampler_and_schedule_has_a1111s_name(ask: Ask, sampler: SamplerName) -> None:
    for schedule in SCHEDULES[sampler]:
        request = ask().model_copy(update={"sampler": sampler, "schedule": schedule})
        _, _, fields = read_infotext(infotext(7, request))
        assert fields["Sampler"] == LABELS[sampler]
        assert fields["Schedule type"] == SCHEDULE_LABELS[schedule]
    assert (LABELS[SamplerName.DPMPP_2M], SCHEDULE_LABELS[ScheduleName.KARRAS]) == ("DPM++ 2M", "Karras")


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a red apple", ""),
        ("a red apple", "blurry, grey"),
        ("two\nlines: one, two", "three\nfour: 5, Steps: 6"),
        ("", "nothing"),
        ('a "quoted" café (red:1.2), Steps: 3, Seed: 4, Sampler: Euler', ""),
    ],
)
def test_every_field_of_a_request_is_read_back(ask: Ask, prompt: str, negative: str) -> None:
    request = ask(
        prompt=prompt or "x",
        negative_prompt=negative,
        steps=9,
        cfg_scale=3.5,
        eta=0.25,
        guidance={"cutouts": 9},
    ).model_copy(
        update={
            "prompt": prompt,
            "width": 96,
            "height": 64,
            "personalization": PERSONALIZATION,
            "upscale": ResolvedUpscale(factor=2, model="x4plus"),
        }
    )
    found = read_infotext(infotext(11, request))
    assert found[:2] == (prompt, negative)
    assert found[2] == {
        "Steps": "9",
        "Sampler": "DDIM",
        "Schedule type": "Automatic",
        "CFG scale": "3.5",
        "Seed": "11",
        "Size": "96x64",
        "Model": "pocket",
        "Eta DDIM": "0.25",
        "CLIP guidance": "laion",
        "CLIP guidance model": request.guidance.clip if request.guidance else "",
        "CLIP guidance scale": f"{request.guidance.scale:g}" if request.guidance else "",
        "CLIP guidance cutouts": "9",
        "Aesthetic embedding": "warm",
        "Aesthetic steps": "3",
        "Aesthetic LR": "0.0001",
        "Aesthetic weight": "0.9",
        "Upscaler": "Real-ESRGAN x4plus",
        "Upscale factor": "2",
    }


def test_a_second_pass_is_written_as_hires_fix_is(ask: Ask) -> None:
    request = ask(hires={"strength": 0.6, "steps": 3, "upscaler": "latent_nearest_exact", "scale": 1.5})
    fields = read_infotext(infotext(7, request))[2]
    assert (
        fields.items()
        >= {
            "Size": "64x64",
            "Hires upscale": "1.5",
            "Hires steps": "3",
            "Hires upscaler": "Latent (nearest-exact)",
            "Denoising strength": "0.6",
        }.items()
    )


def test_a_second_pass_of_a_given_size_is_written_as_resized(ask: Ask) -> None:
    fields = read_infotext(infotext(0, ask(hires={"width": 128, "height": 96, "upscaler": "lanczos"})))[2]
    assert (fields["Hires resize"], fields["Hires upscaler"]) == ("128x96", "Lanczos")
    assert "Hires upscale" not in fields


def test_a_clip_skip_and_a_refiner_are_written_as_the_web_ui_counts_and_names_them(ask: Ask) -> None:
    assert not {"Clip skip", "Refiner"} & read_infotext(infotext(7, ask()))[2].keys()
    changed = ask(clip_skip=1).model_copy(update={"refiner": ResolvedRefiner(model="fine", switch_at=0.75)})
    fields = read_infotext(infotext(7, changed))[2]
    assert (fields["Clip skip"], fields["Refiner"], fields["Refiner switch at"]) == ("2", "fine", "0.75")


def test_no_value_can_forge_a_field(ask: Ask) -> None:
    forged = ask().model_copy(update={"model": 'x", Seed: 1\nSteps: 2'})
    _, _, fields = read_infotext(infotext(7, forged))
    assert (fields["Model"], fields["Seed"]) == ('x", Seed: 1\nSteps: 2', "7")


def test_adapters_stand_in_the_prompt_as_the_web_ui_names_them(ask: Ask) -> None:
    adapters = (
        ResolvedAdapter(name="ink", weight=0.8, text_weight=0.8),
        ResolvedAdapter(name="blob", weight=-1, text_weight=0.5),
    )
    prompt, _, _ = read_infotext(infotext(7, ask(prompt="a fox").model_copy(update={"adapters": adapters})))
    assert prompt == "a fox <lora:ink:0.8> <lora:blob:0.5:-1>"
    text, named = without_adapters(prompt)
    assert text == "a fox"
    assert [(each.name, each.weight, each.text_weight) for each in named] == [
        (each.name, each.weight, each.text_weight) for each in adapters
    ]
