"""Rows with adapters of their own share a batch, and stay what they are alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.errors import InvalidRequestError
from tests.worker.models.adapters.test_pipeline import ask, latents_of
from tests.worker.running import TOLERANCE
from worker.aesthetics.fitting import Fitting
from worker.engine.offline import generate_all
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.adapters.mixture import STACKED_RANK
from worker.models.families.text_encoder import last_states
from worker.models.registry import ModelRegistry
from worker.rows import AdapterUse, Row
from worker.sampling.inputs import SamplerInputs

SETS: tuple[dict[str, float], ...] = (
    {},
    {"all": 1.0},
    {"attention": 1.0},
    {"all": 0.5, "attention": -0.7},
    {"unet": 2.0},
    {},
    {"large": 1.0},
    {"large": 0.3, "all": 0.3},
)


def rows_of(context: Tensor, *sets: dict[str, float]) -> list[tuple[Row, ...]]:
    return [(Row(context, adapters=tuple(AdapterUse(*use) for use in each.items())),) for each in sets]


def outputs_of(models: ModelRegistry, *sets: dict[str, float]) -> Tensor:
    """The outputs of rows that differ in their adapters alone."""
    model, rng = models.diffusion("tiny"), torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 16, 16, generator=rng).expand(len(sets), -1, -1, -1)
    rows = model.rows(rows_of(model.encode_texts(["a fox"]), *sets), models)
    return model.predict(latents, torch.full((len(sets),), 500), rows)


def test_each_row_of_a_batch_is_what_it_is_alone(adapted: ModelRegistry) -> None:
    together = outputs_of(adapted, *SETS)
    for each, output in zip(SETS, together.split(1), strict=True):
        assert torch.allclose(outputs_of(adapted, each), output, atol=1e-5), each
    assert len({round(float(output.sum()), 3) for output in together}) == len(SETS) - 1


def test_rows_without_adapters_keep_their_bits(adapted: ModelRegistry) -> None:
    together, plain = outputs_of(adapted, *SETS), outputs_of(adapted, *[{} for _ in SETS])
    without = [number for number, each in enumerate(SETS) if not each]
    assert torch.equal(together[without], plain[without])


def test_a_weight_of_zero_is_no_adapter(adapted: ModelRegistry) -> None:
    assert torch.equal(outputs_of(adapted, {"all": 0.0}), outputs_of(adapted, {}))


def test_the_order_of_adapters_changes_no_bit(adapted: ModelRegistry) -> None:
    one, other = (
        outputs_of(adapted, {"all": 0.5, "unet": 1.0}),
        outputs_of(adapted, {"unet": 1.0, "all": 0.5}),
    )
    assert torch.equal(one, other)


def test_sets_of_large_ranks_are_computed_apart(adapted: ModelRegistry) -> None:
    model = adapted.diffusion("tiny")
    rows = rows_of(model.encode_texts(["a fox"]), *SETS)
    mixture = model.rows(rows, adapted).mixture
    assert mixture is not None
    ranks = [max(len(stack.owners) for stack in segment.stacks.values()) for segment in mixture.segments]
    assert len(ranks) == 2
    assert max(ranks) <= STACKED_RANK
    numbers: list[int] = []
    for segment in mixture.segments:
        assert segment.rows is not None
        numbers += segment.rows.tolist()
    assert sorted(numbers) == [number for number, each in enumerate(SETS) if each]


def test_the_plain_networks_stay_as_they_are(adapted: ModelRegistry) -> None:
    model = adapted.diffusion("tiny")
    before = [tensor.clone() for network in model.networks for tensor in network.state_dict().values()]
    kinds = [type(module) for network in model.networks for module in network.modules()]
    outputs_of(adapted, {"all": 1.0})
    after = [tensor for network in model.networks for tensor in network.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert kinds == [type(module) for network in model.networks for module in network.modules()]


def test_the_copy_takes_no_memory_for_weights(adapted: ModelRegistry) -> None:
    model = adapted.diffusion("tiny")
    outputs_of(adapted, {"all": 1.0})
    copied = model.adaptations._adapted["unet"]._network
    ours = {tensor.data_ptr() for tensor in model.networks[1].parameters()}
    assert {tensor.data_ptr() for tensor in copied.parameters()} == ours


@pytest.mark.parametrize("weights", [{"all": 1.0}, {"large": 1.0, "attention": 1.0}])
def test_gradients_go_back_through_the_adapters(weights: dict[str, float], adapted: ModelRegistry) -> None:
    model, rng = adapted.diffusion("tiny"), torch.Generator().manual_seed(0)
    context, size = model.encode_texts(["a fox"]), (2, 4, 16, 16)
    latents, given = (torch.randn(size, generator=rng) for _ in range(2))
    rows, times = model.rows(rows_of(context, {}, weights), adapted), torch.tensor([500, 300])
    pulled, step = model.pull_back(latents, times, rows, given), 1e-2 * torch.randn(size, generator=rng)
    ahead, behind = (model.predict(latents + sign * step, times, rows) for sign in (1, -1))
    expected = ((ahead - behind) / 2 * given).flatten(1).sum(dim=1)
    assert torch.allclose((pulled * step).flatten(1).sum(dim=1), expected, atol=2e-3)
    plain = model.pull_back(latents, times, model.rows(rows_of(context, {}, {})), given)
    assert torch.allclose(plain[0], pulled[0], atol=1e-6)
    assert not torch.allclose(plain[1], pulled[1], atol=1e-3)


def test_jobs_with_other_adapters_share_a_run(adapted: ModelRegistry) -> None:
    requests = [
        ask(adapted, *({"name": name, "weight": weight} for name, weight in each.items()), cfg_scale=scale)
        for each, scale in zip(SETS, [5, 1, 5, 5, 1, 1, 5, 5], strict=True)
    ]
    runner = Runner(adapted)
    together = generate_all(requests, runner)
    for request, (picture,) in zip(requests, together, strict=True):
        alone = generate(request, runner, SamplerInputs("pocket-m"))
        assert torch.allclose(alone.pixels, picture.pixels, atol=TOLERANCE)


def test_a_window_is_a_part_of_the_run(adapted: ModelRegistry) -> None:
    def drawn(**window: Any) -> Tensor:
        return latents_of(ask(adapted, {"name": "all", "text_weight": 0, **window}), adapted)

    plain, whole = latents_of(ask(adapted), adapted), drawn()
    assert torch.equal(drawn(start=0, end=1), whole)
    early, late = drawn(end=0.5), drawn(start=0.5)
    assert len({round(float(each.sum()), 4) for each in (plain, whole, early, late)}) == 4


def test_a_text_weight_is_the_text_encoders_own(adapted: ModelRegistry) -> None:
    text = latents_of(ask(adapted, {"name": "all", "weight": 0, "text_weight": 1}), adapted)
    unet = latents_of(ask(adapted, {"name": "all", "weight": 1, "text_weight": 0}), adapted)
    plain, both = latents_of(ask(adapted), adapted), latents_of(ask(adapted, {"name": "all"}), adapted)
    assert len({round(float(each.sum()), 4) for each in (plain, text, unet, both)}) == 4


def test_personalization_tunes_the_encoder_with_its_adapters(adapted: ModelRegistry) -> None:
    model = adapted.diffusion("tiny")
    encoder, uses = model.networks[0], (AdapterUse("all", 1.0), AdapterUse("attention", 0.5))
    changes = model.adaptations.changes("text_encoder", uses, adapted.adapter)
    projection, tokens, direction = torch.eye(32), torch.tensor([[2046, 5, 6, 2047]]), torch.ones(32)
    fitting = Fitting(
        encoder, projection, tokens, direction, steps=0, lr=0.1, read=last_states, changes=changes
    )
    tuned = fitting.states()
    mixture = model.adaptations.of_all("text_encoder", uses, adapted.adapter)
    assert mixture is not None
    expected = model.adaptations.run("text_encoder", mixture, tokens)[0]
    assert torch.allclose(tuned, expected, atol=1e-5)
    assert not torch.allclose(tuned, encoder(tokens)[0], atol=1e-2)


@pytest.mark.parametrize(
    ("adapters", "field", "reason"),
    [
        ([{"name": "nothing"}], "adapters.0.name", "it holds: all, attention"),
        ([{"name": "all"}, {"name": "all"}], "adapters.1.name", "named twice"),
        ([{"name": "all", "start": 0.5, "end": 0.5}], "adapters.0.start", "no step of 6"),
        ([{"name": "all", "end": 0.1}], "adapters.0.end", "no step of 6"),
    ],
)
def test_what_no_model_can_do_is_refused(
    adapters: list[dict[str, Any]], field: str, reason: str, adapted: ModelRegistry
) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as refused:
        ask(adapted, *adapters)
    assert refused.value.field == field
