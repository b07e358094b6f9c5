"""Fields of other services that ask for SDXL's refiner, as native ones."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError

from app.api.dialects.a1111 import request as a1111
from app.api.dialects.openai import request as openai
from app.api.dialects.replicate import request as replicate
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.conditions.refiner import Refiner
from jobs.requests.request import GenerateRequest
from jobs.resolve.request import resolve

ENSEMBLE = {"refine": "expert_ensemble_refiner"}


@pytest.fixture
def with_xl(catalog: Catalog, tmp_path: Path) -> Catalog:
    """The shipped models, and an SDXL with its refiner."""
    fields = {"path": tmp_path, "clip": catalog.clips[0].id}
    xl = ModelCard.model_validate({"id": "xl", "family": "sdxl", **fields})
    fine = ModelCard.model_validate({"id": "fine", "family": "sdxl-refiner", **fields})
    return catalog.model_copy(update={"models": (*catalog.models, xl, fine)})


def of_a1111(catalog: Catalog, model: str = "xl", **fields: Any) -> GenerateRequest:
    return a1111.to_native(a1111.TextToImage(prompt="a fox", **fields), model, catalog)


def of_replicate(catalog: Catalog, model: str = "xl", **fields: Any) -> tuple[GenerateRequest, list[str]]:
    """The native request, and the fields without effect."""
    body = replicate.PredictionBody.model_validate({"input": {"prompt": "a fox", **fields}})
    wanted, _ = replicate.to_native(body, catalog.model(model), catalog)
    return wanted, [note.split(" ")[0] for note in replicate.notes_of(body, wanted)]


@pytest.mark.parametrize("name", ["fine", "fine.safetensors", "fine.safetensors [0123456789]"])
def test_a1111s_refiner_is_a_model_by_any_of_its_names(name: str, with_xl: Catalog) -> None:
    request = of_a1111(with_xl, refiner_checkpoint=name, refiner_switch_at=0.6)
    assert request.refiner == Refiner(model="fine", switch_at=0.6)
    assert resolve(request, with_xl).refiner is not None
    assert of_a1111(with_xl, refiner_checkpoint=name).refiner == Refiner(model="fine", switch_at=0.8)


@pytest.mark.parametrize(
    "fields",
    [
        {"refiner_checkpoint": ""},
        {"refiner_checkpoint": "None", "refiner_switch_at": 0.8},
        {"refiner_switch_at": 0.8},
        {"refiner_checkpoint": "fine", "refiner_switch_at": 1},
    ],
)
def test_a1111s_refiner_that_is_off_is_none(fields: dict[str, Any], with_xl: Catalog) -> None:
    assert of_a1111(with_xl, **fields).refiner is None


def test_a1111s_refiner_that_cannot_be_served_is_refused_by_its_name(with_xl: Catalog) -> None:
    with pytest.raises(UnknownModelError) as unknown:
        of_a1111(with_xl, refiner_checkpoint="sd_xl_refiner_1.0.safetensors")
    assert unknown.value.field == "refiner_checkpoint"
    with pytest.raises(RequestValidationError) as outside:
        of_a1111(with_xl, refiner_checkpoint="fine", refiner_switch_at=0)
    assert outside.value.errors()[0]["loc"] == ("body", "refiner_switch_at")
    for request in (
        of_a1111(with_xl, refiner_checkpoint="xl"),
        of_a1111(with_xl, "pocket", refiner_checkpoint="fine"),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            resolve(request, with_xl)
        assert a1111.NAMES[refused.value.field or ""] == "refiner_checkpoint"


@pytest.mark.parametrize(
    ("fields", "switch_at", "unread"),
    [
        (ENSEMBLE, 0.8, []),
        ({**ENSEMBLE, "high_noise_frac": 0.7, "refine_steps": 4}, 0.7, ["refine_steps"]),
        ({"refine": "no_refiner"}, None, []),
        ({"refine": "base_image_refiner", "refine_steps": 4}, None, ["refine", "refine_steps"]),
        ({"high_noise_frac": 0.7}, None, ["high_noise_frac"]),
        ({"refiner": {"switch_at": 0.5}, "high_noise_frac": 0.7}, 0.5, ["high_noise_frac"]),
    ],
)
def test_replicates_ensemble_is_the_first_refiner(
    fields: dict[str, Any], switch_at: float | None, unread: list[str], with_xl: Catalog
) -> None:
    request, without_effect = of_replicate(with_xl, **fields)
    assert without_effect == unread
    refiner = resolve(request, with_xl).refiner
    assert (None if refiner is None else (refiner.model, refiner.switch_at)) == (
        None if switch_at is None else ("fine", switch_at)
    )


@pytest.mark.parametrize("model", ["pocket", "xl"])
def test_replicates_ensemble_has_no_effect_without_a_refiner(model: str, with_xl: Catalog) -> None:
    none = with_xl.model_copy(update={"models": with_xl.models[:-1]})
    held = with_xl if model == "pocket" else none
    request, without_effect = of_replicate(held, model, **ENSEMBLE, high_noise_frac=0.8)
    assert request.refiner is None
    assert without_effect == ["refine", "high_noise_frac"]


@pytest.mark.parametrize("share", [0, 1.5, "most"])
def test_a_share_that_cannot_be_is_refused_by_its_name(share: Any, with_xl: Catalog) -> None:
    with pytest.raises(RequestValidationError) as refused:
        of_replicate(with_xl, **ENSEMBLE, high_noise_frac=share)
    assert refused.value.errors()[0]["loc"] == ("body", "input.high_noise_frac")


def test_a_refiner_by_both_names_is_refused(with_xl: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="refine and refiner are the same"):
        of_replicate(with_xl, **ENSEMBLE, refiner={})


def test_openais_route_takes_the_same_fields(with_xl: Catalog) -> None:
    body = openai.ImageGeneration.model_validate(
        {"prompt": "a fox", "model": "xl", **ENSEMBLE, "high_noise_frac": 0.7}
    )
    wanted, names = openai.to_native(body, with_xl)
    assert (wanted.refiner, names["refiner.switch_at"]) == (Refiner(switch_at=0.7), "high_noise_frac")
    assert body.notes(wanted) == ()
