"""Pictures of the shipped models go on to the same bits, whatever their rows are told."""

from collections.abc import Callable

from jobs.requests.request import ResolvedRequest
from tests.brought_pictures import scene
from tests.worker.engine.test_engine import personalized
from tests.worker.states.putting_down import goes_on_alike
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs
from worker.pictures.levels import levels

Ask = Callable[..., ResolvedRequest]
SOURCE = f"sha256:{'0' * 64}"


def test_with_controls_and_adapters(models: ModelRegistry, ask: Ask) -> None:
    request = ask(
        steps=4,
        sampler="dpmpp_2m_sde",
        adapters=[{"name": "ink", "weight": 0.7}],
        controls=[{"model": "edges", "image": SOURCE, "start": 0.0, "end": 0.6}],
    )
    goes_on_alike(models, request, Inputs(hints=hints_for(request, {SOURCE: levels(scene(64, 64))}, None)))


def test_with_a_text_encoder_that_is_fitted_again(models: ModelRegistry, ask: Ask) -> None:
    goes_on_alike(models, *personalized(ask(steps=3), "warm", 3))
