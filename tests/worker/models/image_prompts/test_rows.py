"""Rows with image prompts of their own share a batch, and stay what they are alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.errors import InvalidRequestError, ModelUnavailableError
from jobs.requests.request import ResolvedRequest
from tests.worker.models.image_prompts.test_pipeline import FOX, LEVELS, OWL, SETS, ask, inputs_of, latents_of
from tests.worker.running import TOLERANCE, Running, pictures
from worker.canvas import Canvas, canvas_of
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.engine.work import Failed, Work
from worker.models.registry import ModelRegistry
from worker.pictures.hints import hints_for
from worker.pictures.inputs import Inputs
from worker.rows import AdapterUse, ImagePromptUse, Row
from worker.sampling.inputs import SamplerInputs

CANVASES = {name: canvas_of(levels) for name, levels in LEVELS.items()}
Uses = tuple[tuple[str, Canvas | None, float], ...]
ROWS: tuple[Uses, ...] = (
    (),
    (("base", CANVASES[FOX], 1.0),),
    (("base", None, 1.0),),
    (("base", CANVASES[OWL], 0.5),),
    (("base", CANVASES[FOX], 0.5), ("base", CANVASES[OWL], 1.5)),
    (("plus", CANVASES[FOX], 1.0),),
    (),
    (("plus", CANVASES[FOX], 1.0), ("base", CANVASES[FOX], 1.0), ("other", CANVASES[OWL], 0.2)),
    (("pocket", CANVASES[OWL], 1.0),),
)


def rows_of(context: Tensor, *uses: Uses, adapter: str | None = None) -> list[tuple[Row, ...]]:
    adapters = () if adapter is None else (AdapterUse(adapter, 0.7),)
    return [
        (Row(context, adapters=adapters, image_prompts=tuple(ImagePromptUse(*use) for use in each)),)
        for each in uses
    ]


def outputs_of(models: ModelRegistry, *uses: Uses, adapter: str | None = None) -> Tensor:
    """The outputs of rows that differ in their pictures alone."""
    model, rng = models.diffusion("tiny"), torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 16, 16, generator=rng).expand(len(uses), -1, -1, -1)
    rows = model.rows(rows_of(model.encode_texts(["a fox"]), *uses, adapter=adapter), models)
    return model.predict(latents, torch.full((len(uses),), 500), rows)


@pytest.mark.parametrize("adapter", [None, "ink"])
def test_each_row_of_a_batch_is_what_it_is_alone(adapter: str | None, prompted: ModelRegistry) -> None:
    together = outputs_of(prompted, *ROWS, adapter=adapter)
    for each, output in zip(ROWS, together.split(1), strict=True):
        assert torch.allclose(outputs_of(prompted, each, adapter=adapter), output, atol=1e-5), each
    assert len({round(float(output.sum()), 3) for output in together}) == len(ROWS) - 1


def test_rows_without_pictures_keep_their_bits(prompted: ModelRegistry) -> None:
    for _ in range(6):  # enough for the plain network's trace to answer
        plain = outputs_of(prompted, *[() for _ in ROWS])
    together = outputs_of(prompted, *ROWS)
    without = [number for number, each in enumerate(ROWS) if not each]
    assert torch.equal(together[without], plain[without])


def test_the_plain_network_stays_as_it_is(prompted: ModelRegistry) -> None:
    unet: Any = prompted.diffusion("tiny").networks[1]
    before = {name: type(each) for name, each in unet.attn_processors.items()}
    outputs_of(prompted, *ROWS)
    assert {name: type(each) for name, each in unet.attn_processors.items()} == before


def test_the_weight_of_a_picture_is_its_share_of_the_attention(prompted: ModelRegistry) -> None:
    plain, half, whole = outputs_of(
        prompted, (), (("base", CANVASES[FOX], 1e-3),), (("base", CANVASES[FOX], 1.0),)
    )
    assert float((half - plain).abs().max()) < 0.05 * float((whole - plain).abs().max())


def test_a_picture_is_encoded_once(prompted: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = prompted.image_prompt("base")
    outputs_of(prompted, *ROWS)
    asked: list[Any] = []
    monkeypatch.setattr(adapter._encoder, "embed", asked.append)
    prompted.diffusion("tiny").forget_rows()
    outputs_of(prompted, *ROWS)
    assert asked == []


def test_gradients_go_back_through_the_pictures(prompted: ModelRegistry) -> None:
    model, rng = prompted.diffusion("tiny"), torch.Generator().manual_seed(0)
    context, size = model.encode_texts(["a fox"]), (2, 4, 16, 16)
    latents, given = (torch.randn(size, generator=rng) for _ in range(2))
    rows, times = model.rows(rows_of(context, (), ROWS[7]), prompted), torch.tensor([500, 300])
    pulled, step = model.pull_back(latents, times, rows, given), 1e-2 * torch.randn(size, generator=rng)
    ahead, behind = (model.predict(latents + sign * step, times, rows) for sign in (1, -1))
    expected = ((ahead - behind) / 2 * given).flatten(1).sum(dim=1)
    assert torch.allclose((pulled * step).flatten(1).sum(dim=1), expected, atol=2e-3)
    plain = model.pull_back(latents, times, model.rows(rows_of(context, (), ()), prompted), given)
    assert torch.allclose(plain[0], pulled[0], atol=1e-6)
    assert not torch.allclose(plain[1], pulled[1], atol=1e-3)


def of_all_kinds(models: ModelRegistry) -> list[ResolvedRequest]:
    """Requests with image prompts beside everything that they share batches with."""
    one = SETS["one"][0]
    asked = [ask(models, *prompts, cfg_scale=scale) for prompts in (*SETS.values(), []) for scale in (1, 5)]
    return [
        *asked,
        ask(models, {"image": OWL, "adapter": "pocket"}),
        ask(models, one, adapters=[{"name": "ink", "weight": 0.6}]),
        ask(models, one, controls=[{"model": "edges", "image": OWL, "end": 0.5}]),
        ask(models, one, guidance={"cutouts": 2, "clip": "pocket-m"}),
        ask(models, one, guidance={"cutouts": 2, "clip": "pocket-m", "preset": "diffusers"}),
        ask(models, one, hires={"scale": 2, "strength": 0.5}),
        ask(models, one, prompt="a fox AND a hat", prompt_syntax="a1111"),
    ]


def test_jobs_with_other_pictures_share_batches_and_are_what_they_are_alone(prompted: ModelRegistry) -> None:
    requests = of_all_kinds(prompted)
    running = Running(prompted)
    for number, request in enumerate(requests):
        hints = hints_for(request, LEVELS, None)
        its = inputs_of(request).image_prompts
        running.engine.admit(Work(str(number), request, Inputs(hints=hints, image_prompts=its)))
    outcomes = running.wait_for(*(str(number) for number in range(len(requests))))
    running.stop()
    for request, outcome in zip(requests, outcomes, strict=True):
        inputs = SamplerInputs(
            "pocket-m",
            hints=hints_for(request, LEVELS, None),
            image_prompts=inputs_of(request).image_prompts,
        )
        alone = generate(request, Runner(prompted), inputs)
        assert torch.allclose(alone.pixels, pictures(outcome)[0], atol=TOLERANCE)


def test_a_window_is_a_part_of_the_run(prompted: ModelRegistry) -> None:
    def drawn(**window: Any) -> Tensor:
        return latents_of(ask(prompted, {"image": FOX, **window}), prompted)

    plain, whole = latents_of(ask(prompted), prompted), drawn()
    assert torch.equal(drawn(start=0, end=1), whole)
    assert torch.equal(drawn(weight=0), plain)
    early, late = drawn(end=0.5), drawn(start=0.5)
    assert len({round(float(each.sum()), 4) for each in (plain, whole, early, late)}) == 4


def test_an_adapter_of_another_model_is_refused_before_its_first_step(prompted: ModelRegistry) -> None:
    request = ask(prompted, {"image": FOX, "adapter": "wider"})
    running = Running(prompted)
    running.engine.admit(Work("a", request, Inputs(image_prompts=inputs_of(request).image_prompts)))
    (outcome,) = running.wait_for("a")
    running.stop()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ModelUnavailableError)
    assert "image prompt adapter 'wider' was made for another model: for mid_block" in outcome.error.message


def test_the_weight_and_the_adapter_have_defaults(prompted: ModelRegistry) -> None:
    first, other = ask(prompted, {"image": FOX}, {"image": FOX, "adapter": "pocket"}).image_prompts
    assert (first.adapter, first.weight) == ("base", 1.0)
    assert (other.adapter, other.weight) == ("pocket", 0.8)


@pytest.mark.parametrize(
    ("prompt", "field", "reason"),
    [
        ({"adapter": "none"}, "image_prompts.0.adapter", "it holds: base, other, plus, wider, pocket"),
        ({"start": 0.5, "end": 0.5}, "image_prompts.0.start", "no step of 6"),
        ({"end": 0.1}, "image_prompts.0.end", "no step of 6"),
    ],
)
def test_what_no_model_can_do_is_refused(
    prompt: dict[str, Any], field: str, reason: str, prompted: ModelRegistry
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(prompted, {"image": FOX, **prompt})
    assert refused.value.field == field


def test_an_adapter_counts_with_its_encoder(prompted: ModelRegistry) -> None:
    adapter = prompted.image_prompt("pocket")
    assert adapter.networks[1] is prompted.clip("pocket-s").networks[0]
