"""The defaults of a family, which an entry of the catalog may leave out."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.catalog.models import ModelCard
from jobs.requests.conditions.families import FamilyName
from jobs.requests.samplers import SamplerName


def card(**fields: Any) -> ModelCard:
    return ModelCard.model_validate({"id": "m", "path": Path("m"), "clip": "c", **fields})


@pytest.mark.parametrize("family", [FamilyName.SDXL, FamilyName.SDXL_REFINER])
def test_a_model_of_sdxl_needs_no_sizes(family: FamilyName) -> None:
    made = card(family=family)
    assert (made.width, made.height, made.min_px, made.max_px) == (1024, 1024, 512, 2048)
    assert (made.steps, made.cfg_scale, made.sampler) == (30, 5.0, SamplerName.EULER)


def test_what_an_entry_says_counts_before_its_family() -> None:
    made = card(family="sdxl", width=768, cfg_scale=1, sampler="dpmpp_2m_karras")
    assert (made.width, made.height, made.cfg_scale) == (768, 1024, 1)
    assert (made.sampler, made.schedule) == ("dpmpp_2m", "karras")


def test_a_model_of_stable_diffusion_needs_its_sizes() -> None:
    with pytest.raises(ValidationError, match="width"):
        card()
    sizes = {"width": 64, "height": 64, "min_px": 64, "max_px": 64}
    assert card(**sizes).family is FamilyName.SD
    with pytest.raises(ValidationError, match="family"):
        card(family="flux", **sizes)
