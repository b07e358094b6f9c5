"""Rows with a DoRA beside rows with other adapters; what a DoRA cannot be mixed with is refused."""

import pytest
import torch

from jobs.errors import InvalidRequestError, ModelUnavailableError
from tests.worker.models.adapters.test_mixtures import SETS, outputs_of, rows_of
from tests.worker.models.adapters.test_pipeline import ask
from worker.aesthetics.fitting import Fitting
from worker.models.families.text_encoder import last_states
from worker.models.registry import ModelRegistry
from worker.rows import AdapterUse

MIXED: tuple[dict[str, float], ...] = (
    *SETS,
    {"dora": 1.0},
    {"dora": 0.5},
    {},
    {"dora": 1.0},
    {"small-dora": -0.5},
    {"small-dora": 1, "unet": 1},
)


def test_each_row_of_a_batch_is_what_it_is_alone(adapted: ModelRegistry) -> None:
    together = outputs_of(adapted, *MIXED)
    for each, output in zip(MIXED, together.split(1), strict=True):
        assert torch.allclose(outputs_of(adapted, each), output, atol=1e-5), each
    assert len({round(float(output.sum()), 3) for output in together}) == len(MIXED) - 3


def test_rows_without_adapters_keep_their_bits(adapted: ModelRegistry) -> None:
    together, plain = outputs_of(adapted, *MIXED), outputs_of(adapted, *[{} for _ in MIXED])
    without = [number for number, each in enumerate(MIXED) if not each]
    assert torch.equal(together[without], plain[without])


def test_gradients_go_back_through_it(adapted: ModelRegistry) -> None:
    model, rng = adapted.diffusion("tiny"), torch.Generator().manual_seed(0)
    context, size = model.encode_texts(["a fox"]), (2, 4, 16, 16)
    latents, given = (torch.randn(size, generator=rng) for _ in range(2))
    rows = model.rows(rows_of(context, {}, {"dora": 1.0}), adapted)
    times, step = torch.tensor([500, 300]), 1e-2 * torch.randn(size, generator=rng)
    pulled = model.pull_back(latents, times, rows, given)
    ahead, behind = (model.predict(latents + sign * step, times, rows) for sign in (1, -1))
    expected = ((ahead - behind) / 2 * given).flatten(1).sum(dim=1)
    assert torch.allclose((pulled * step).flatten(1).sum(dim=1), expected, atol=2e-3)


def test_personalization_tunes_the_encoder_with_it(adapted: ModelRegistry) -> None:
    model, uses = adapted.diffusion("tiny"), (AdapterUse("dora", 0.7),)
    changes = model.adaptations.changes("text_encoder", uses, adapted.adapter)
    tokens = torch.tensor([[2046, 5, 6, 2047]])
    encoder = model.networks[0]
    tuned = Fitting(
        encoder, torch.eye(32), tokens, torch.ones(32), steps=0, lr=0.1, read=last_states, changes=changes
    ).states()
    mixture = model.adaptations.of_all("text_encoder", uses, adapted.adapter)
    assert mixture is not None
    assert torch.allclose(tuned, model.adaptations.run("text_encoder", mixture, tokens)[0], atol=1e-5)
    assert not torch.allclose(tuned, encoder(tokens)[0], atol=1e-2)


@pytest.mark.parametrize("other", ["all", "small-dora"])
def test_no_other_adapter_may_change_its_layers(other: str, adapted: ModelRegistry) -> None:
    with pytest.raises(ModelUnavailableError, match=r"is a DoRA: no other adapter can change its layers"):
        outputs_of(adapted, {"dora": 1.0, other: 1.0})


@pytest.mark.parametrize(("names", "field"), [(("dora", "all"), 0), (("all", "dora"), 1)])
def test_a_request_has_it_alone(names: tuple[str, ...], field: int, adapted: ModelRegistry) -> None:
    with pytest.raises(InvalidRequestError, match="'dora' is a DoRA, and a request has it alone") as refused:
        ask(adapted, *({"name": name} for name in names))
    assert refused.value.field == f"adapters.{field}.name"


def test_an_adapter_that_has_left_is_not_kept(adapted: ModelRegistry) -> None:
    model = adapted.diffusion("tiny")
    outputs_of(adapted, {"all": 1.0})
    assert model.adaptations._fitted
    model.release_rows()
    outputs_of(adapted, {})
    assert not model.adaptations._fitted
