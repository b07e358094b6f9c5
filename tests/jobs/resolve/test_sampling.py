"""The sampler and schedule of a job, from its request and its model."""

import pytest

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.request import GenerateRequest
from jobs.requests.samplers import SamplerName
from jobs.resolve.sampling import resolve_sampling


@pytest.fixture
def card(catalog: Catalog) -> ModelCard:
    return catalog.models[0].model_copy(update={"sampler": SamplerName.DPMPP_2M, "schedule": "karras"})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ("dpmpp_2m", "karras")),
        ({"schedule": "exponential"}, ("dpmpp_2m", "exponential")),
        ({"schedule": "default"}, ("dpmpp_2m", "default")),
        ({"sampler": "euler"}, ("euler", "default")),
        ({"sampler": "ddim"}, ("ddim", "default")),
        ({"sampler": "dpmpp_2m"}, ("dpmpp_2m", "default")),
        ({"sampler": "euler", "schedule": "karras"}, ("euler", "karras")),
        ({"sampler": "dpmpp_2m_sde_karras"}, ("dpmpp_2m_sde", "karras")),
    ],
)
def test_a_model_s_schedule_goes_with_its_own_sampler(
    card: ModelCard, asked: dict[str, str], expected: tuple[str, str]
) -> None:
    assert resolve_sampling(GenerateRequest.model_validate({"prompt": "x", **asked}), card) == expected


@pytest.mark.parametrize("sampler", ["ddim", "pndm"])
def test_a_schedule_that_the_sampler_does_not_support_is_refused(card: ModelCard, sampler: str) -> None:
    request = GenerateRequest.model_validate({"prompt": "x", "sampler": sampler, "schedule": "karras"})
    with pytest.raises(
        InvalidRequestError, match=f"sampler {sampler} does not support schedule karras"
    ) as it:
        resolve_sampling(request, card)
    assert it.value.field == "schedule"
