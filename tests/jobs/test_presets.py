from typing import get_args

from jobs.guidance import Guidance, ResolvedGuidance
from jobs.presets import PRESETS, GuidancePreset


def test_laion_is_as_published() -> None:
    assert PRESETS["laion"] == GuidancePreset(
        scale=0.1,
        cutouts=48,
        normalize="rms",
        source="LAION, Guiding Stable Diffusion with OpenCLIP H & g, 2022",
    )


def test_a_request_may_name_exactly_the_presets_there_are() -> None:
    for model in (Guidance, ResolvedGuidance):
        assert set(get_args(model.model_fields["preset"].annotation)) == set(PRESETS)


def test_every_default_is_one_that_a_request_could_have_asked_for() -> None:
    for preset in PRESETS.values():
        Guidance(scale=preset.scale, cutouts=preset.cutouts)
