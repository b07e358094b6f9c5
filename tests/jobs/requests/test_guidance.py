"""The guidance of a request, asked for and resolved."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.guidance import Guidance, ResolvedGuidance
from jobs.requests.objectives import ImageObjective, PixelObjective, TextObjective
from jobs.requests.pictures import Thumbnail
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()


def resolved(catalog: Catalog, **fields: Any) -> ResolvedGuidance:
    request = GenerateRequest.model_validate({"prompt": "a red apple", "guidance": fields})
    guidance = resolve(request, catalog).guidance
    assert guidance is not None
    return guidance


def problem(**fields: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        Guidance.model_validate(fields)
    (error,) = caught.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


def test_without_objectives_it_guides_towards_the_prompt_and_adds_those_of_its_preset(
    catalog: Catalog,
) -> None:
    text = TextObjective(type="text", text="a red apple", clip="pocket-m")
    assert resolved(catalog).objectives == (text,)
    assert resolved(catalog, preset="crowson").objectives == (
        text,
        PixelObjective(type="tv", weight=0.15),
        PixelObjective(type="range", weight=0.05),
    )
    assert resolved(catalog, prompt="a pear").objectives == (
        TextObjective(type="text", text="a pear", clip="pocket-m"),
    )


def test_objectives_stand_for_themselves_each_with_its_clip(catalog: Catalog) -> None:
    asked = [
        {"type": "text", "text": "a pear"},
        {
            "type": "image",
            "image": f"data:image/png;base64,{PNG}",
            "clip": "pocket-s",
            "weight": -0.5,
            "end": 0.5,
        },
        {"type": "saturation"},
    ]
    guidance = resolved(catalog, preset="crowson", objectives=asked)
    assert guidance.objectives == (
        TextObjective(type="text", text="a pear", clip="pocket-m"),
        ImageObjective(type="image", image=Thumbnail(PNG), clip="pocket-s", weight=-0.5, end=0.5),
        PixelObjective(type="saturation"),
    )
    assert guidance.clips == ("pocket-m", "pocket-s")
    assert ResolvedGuidance.model_validate_json(guidance.model_dump_json()) == guidance


def test_the_file_of_a_picture_comes_back_whole() -> None:
    assert ImageObjective(type="image", image=Thumbnail(PNG)).image.data == base64.b64decode(PNG)


@pytest.mark.parametrize(
    ("objectives", "field", "message"),
    [
        ([], "objectives", "nothing to guide towards"),
        (
            [{"type": "txt"}],
            "objectives.0",
            "'text', 'image', 'embedding', 'aesthetic', 'tv', 'range', 'saturation'",
        ),
        ([{"type": "text"}], "objectives.0.text.text", "required"),
        ([{"type": "tv", "text": "x"}], "objectives.0.tv.text", "not permitted"),
        (
            [{"type": "tv", "start": 0.5, "end": 0.5}],
            "objectives.0.tv",
            "start 0.5 is not before its end 0.5",
        ),
        ([{"type": "tv", "weight": 1001}], "objectives.0.tv.weight", "less than or equal to 1000"),
        ([{"type": "image", "image": "?"}], "objectives.0.image.image", "not base64"),
        ([{"type": "image", "image": "sha256:12"}], "objectives.0.image.image", "not base64"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused_naming_its_field(
    objectives: list[dict[str, Any]], field: str, message: str
) -> None:
    where, what = problem(objectives=objectives)
    assert where == field
    assert message in what


def texts(*parts: tuple[float, float, float]) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": "x", "weight": weight, "start": start, "end": end}
        for weight, start, end in parts
    ]


def test_weights_may_be_negative_but_not_cancel_each_other_out_at_any_time() -> None:
    Guidance.model_validate({"objectives": texts((1, 0, 1), (-0.5, 0, 1))})
    Guidance.model_validate({"objectives": texts((-1, 0, 1))})
    Guidance.model_validate({"objectives": texts((1, 0, 0.5), (-1, 0.5, 1))})
    Guidance.model_validate({"objectives": [*texts((1, 0, 1)), {"type": "tv", "weight": -1}]})
    field, message = problem(objectives=texts((1, 0, 1), (-1, 0.25, 0.75)))
    assert field == "objectives"
    assert "sum to zero from 0.25 to 0.75" in message


def test_prompt_and_objectives_exclude_each_other() -> None:
    assert "either prompt or objectives" in problem(prompt="x", objectives=texts((1, 0, 1)))[1]


def test_cuts_are_numbers_or_schedules_and_nothing_else() -> None:
    assert Guidance.model_validate({"overview_cuts": 12}).overview_cuts == "12"
    assert Guidance.model_validate({"overview_cuts": 12.0}).overview_cuts == "12"
    assert problem(overview_cuts=12.5)[0] == "overview_cuts"
    assert Guidance(inner_cuts="[4]*400+[12]*600").inner_cuts == "[4]*400+[12]*600"
    assert problem(inner_cuts="eval(1)")[0] == "inner_cuts"
    assert "more than the 256" in problem(inner_cuts="[300]")[1]
    assert problem(overview_cuts=-1)[0] == "overview_cuts"


def test_cutouts_are_those_of_the_schedules_unless_given(catalog: Catalog) -> None:
    assert resolved(catalog, preset="laion").cutouts == 48
    assert resolved(catalog, preset="disco").cutouts == 16
    assert resolved(catalog, preset="disco", cutouts=8).cutouts == 8
    assert resolved(catalog, preset="laion", inner_cuts=16).cutouts == 64


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"start": 0.5, "end": 0.4}, "guidance.start"),
        ({"end": 0.3, "preset": "freedom"}, "guidance.end"),
        ({"overview_cuts": 0}, "guidance.overview_cuts"),
        ({"overview_cuts": 200, "inner_cuts": 100}, "guidance.overview_cuts"),
    ],
)
def test_overrides_that_contradict_the_preset_or_each_other_are_refused(
    catalog: Catalog, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        resolved(catalog, **fields)
    assert caught.value.field == field


def test_steps_measured_by_classifier_free_guidance_need_it(catalog: Catalog) -> None:
    request = GenerateRequest(prompt="x", cfg_scale=1, guidance=Guidance(preset="freedom"))
    with pytest.raises(InvalidRequestError, match="cfg_scale of 1") as caught:
        resolve(request, catalog)
    assert caught.value.field == "cfg_scale"


def test_an_unknown_clip_of_an_objective_is_named_by_its_place(catalog: Catalog) -> None:
    objectives = [{"type": "tv"}, {"type": "text", "text": "x", "clip": "nope"}]
    with pytest.raises(UnknownModelError, match="'nope'") as caught:
        resolved(catalog, objectives=objectives)
    assert caught.value.field == "guidance.objectives.1.clip"
