import re
from pathlib import Path
from typing import get_args

import pytest

from jobs.catalog.measured import MEASURED, Measured
from jobs.requests.guidance import Guidance
from jobs.requests.presets import PRESETS, PresetName


def test_the_published_numbers_are_as_published() -> None:
    laion, diffusers, disco, tfg = (PRESETS[name] for name in ("laion", "diffusers", "disco", "tfg"))
    assert (laion.scale, laion.cutouts, laion.target, laion.augmentation) == (0.1, 48, "denoised", "laion")
    assert (diffusers.scale, diffusers.cutouts, diffusers.target, diffusers.blend) == (100, 4, "noisy", True)
    assert (disco.scale, disco.cutouts, disco.normalize, disco.clamp) == (5000, 16, "clamp", 0.05)
    assert dict(disco.regularizers) == {"range": 150 / 5000}
    assert dict(PRESETS["crowson"].regularizers) == {"tv": 150 / 1000, "range": 50 / 1000}
    assert (tfg.rho, tfg.mu, tfg.smoothing, tfg.iterations, tfg.target) == (
        0.25,
        2,
        0.1,
        4,
        "noisy and denoised",
    )
    for name in ("mpgd", "freedom"):
        assert (PRESETS[name].start, PRESETS[name].end, PRESETS[name].normalize) == (0.3, 0.7, "cfg")


def test_methods_differ_from_tfg_as_its_paper_says() -> None:
    assert PRESETS["mpgd"].rho == 0
    assert (PRESETS["mpgd"].smoothing, PRESETS["mpgd"].iterations) == (0, 1)
    assert (PRESETS["freedom"].mu, PRESETS["freedom"].rho_factor) == (0, "sqrt_alpha")
    assert all(PRESETS[name].applied == "latents" for name in ("tfg", "mpgd", "freedom"))


def test_a_request_may_name_exactly_the_presets_there_are() -> None:
    assert set(get_args(PresetName)) == set(PRESETS)


def test_the_names_of_stability_lead_to_rows_of_ours() -> None:
    assert PRESETS["NONE"].scale == 0
    assert PRESETS["SLOWEST"].but(source="", last_step=True) == PRESETS["laion"].but(source="")
    assert PRESETS["FAST_BLUE"].but(source="") == PRESETS["fast"].but(source="")
    assert not any(PRESETS[name].last_step for name in ("fast", "FAST_GREEN", "SIMPLE", "SLOWEST"))
    cuts = [PRESETS[name].cutouts for name in ("SIMPLE", "SLOW", "SLOWER", "SLOWEST")]
    assert cuts == sorted(cuts)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_default_is_one_that_a_request_could_have_asked_for(name: PresetName) -> None:
    preset = PRESETS[name]
    asked = Guidance.model_validate(preset.parameters())
    assert asked.model_dump(include=set(preset.parameters())) == preset.parameters()
    assert 1 <= preset.cutouts <= 256


def test_what_a_preset_costs_and_gains_is_what_the_guide_tells() -> None:
    guide = Path(__file__).parents[3].joinpath("docs", "guidance.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(\w+)` \| ([\d.]+) \| [\d.]+ \| (\S+) ± ([\d.]+) \|", re.MULTILINE)
    told = {
        name: Measured(float(cost), float(gain.replace("−", "-")), float(error))
        for name, cost, gain, error in row.findall(guide)
    }
    assert told | {"FAST_BLUE": told["fast"]} == MEASURED
