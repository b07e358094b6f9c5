"""Samplers and noise schedules by their present and by their former names."""

import pytest
from pydantic import ValidationError

from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.requests.samplers import FORMER_SAMPLERS, SCHEDULES, SamplerName, ScheduleName, unsupported
from jobs.requests.tasks import dump_request, read_request
from tests.jobs.samples import RESOLVED

PROMPT = {"prompt": "x"}


def stored(sampler: SamplerName, schedule: ScheduleName) -> str:
    return dump_request(RESOLVED.model_copy(update={"sampler": sampler, "schedule": schedule}))


@pytest.mark.parametrize(("former", "pair"), FORMER_SAMPLERS.items())
def test_a_former_name_is_read_as_a_sampler_and_its_schedule(
    former: str, pair: tuple[SamplerName, ScheduleName]
) -> None:
    for fields in ({}, {"schedule": None}, {"schedule": "karras"}):
        request = GenerateRequest.model_validate({**PROMPT, "sampler": former, **fields})
        assert (request.sampler, request.schedule) == pair
        assert request.model_fields_set == {"prompt", "sampler", "schedule"}
    record = ResolvedRequest.model_validate({**RESOLVED.model_dump(exclude={"schedule"}), "sampler": former})
    assert (record.sampler, record.schedule) == pair


@pytest.mark.parametrize("schedule", ["default", "exponential", "magic", 3])
def test_a_former_name_beside_another_schedule_is_refused_naming_both(schedule: object) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerateRequest.model_validate({**PROMPT, "sampler": "dpmpp_2m_karras", "schedule": schedule})
    [error] = caught.value.errors()
    assert error["loc"] == ("schedule",)
    assert error["msg"] == (
        "sampler dpmpp_2m_karras implies schedule karras; for another one, give sampler dpmpp_2m"
    )


@pytest.mark.parametrize("sampler", [["dpmpp_2m_karras"], {"a": 1}, 3, "karras"])
def test_what_names_no_sampler_is_refused_as_ever(sampler: object) -> None:
    with pytest.raises(ValidationError) as caught:
        GenerateRequest.model_validate({**PROMPT, "sampler": sampler})
    assert [error["loc"] for error in caught.value.errors()] == [("sampler",)]


def test_the_schema_shows_the_present_names_alone() -> None:
    assert not {*FORMER_SAMPLERS} & {*GenerateRequest.model_json_schema()["$defs"]["SamplerName"]["enum"]}


def test_redis_keeps_what_the_version_before_can_read() -> None:
    assert '"sampler":"dpmpp_2m_karras"' in stored(SamplerName.DPMPP_2M, ScheduleName.KARRAS)
    for sampler in (SamplerName.DPMPP_2M, SamplerName.DDIM):
        assert f'"sampler":"{sampler}"' in stored(sampler, ScheduleName.DEFAULT)
    for pair in ((SamplerName.DPMPP_2M, ScheduleName.KARRAS), (SamplerName.DDIM, ScheduleName.DEFAULT)):
        assert "schedule" not in stored(*pair)


def test_every_stored_sampler_and_schedule_is_read_again() -> None:
    for sampler, schedules in SCHEDULES.items():
        for schedule in schedules:
            request = read_request(stored(sampler, schedule))
            assert isinstance(request, ResolvedRequest)
            assert (request.sampler, request.schedule) == (sampler, schedule)


def test_a_combination_that_is_not_supported_says_what_is() -> None:
    assert unsupported(SamplerName.EULER, ScheduleName.KARRAS) is None
    assert unsupported(SamplerName.PNDM, ScheduleName.KARRAS) == (
        "sampler pndm does not support schedule karras, only: default"
    )
