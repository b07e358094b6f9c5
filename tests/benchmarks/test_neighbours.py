"""The conclusion from the neighbours' latencies."""

import pytest

from benchmarks.neighbours.ratio import BOUND, Ratio, compare
from benchmarks.neighbours.ways import ways
from jobs.requests.request import GenerateRequest


@pytest.mark.parametrize(
    ("harmless", "hostile", "failed", "fine"),
    [
        ([2.0, 1.0, 3.0], [2.0, 2.5, 90.0], 0, True),  # one disturbance is none of the job's
        ([2.0, 2.0, 2.0], [3.0, 3.0, 1.0], 0, False),
        ([2.0, 2.0, 2.0], [1.0, 1.0, 1.0], 1, False),
    ],
)
def test_a_hostile_job_may_cost_the_others_no_more_than_an_ordinary_one(
    harmless: list[float], hostile: list[float], failed: int, fine: bool
) -> None:
    assert compare("way", harmless, hostile, failed).is_within_bounds is fine


def test_the_ratio_is_of_medians() -> None:
    assert compare("way", [1.0, 2.0, 9.0], [2.0, 3.0, 4.0], 0) == Ratio("way", 2.0, 3.0, 1.5, 0)
    assert not Ratio("way", 1.0, BOUND + 0.01, BOUND + 0.01, 0).is_within_bounds


@pytest.mark.parametrize("name", list(ways()))
def test_every_way_is_a_request_that_the_service_takes(name: str) -> None:
    way = ways()[name]
    assert len(way.hostile) == len(way.harmless)
    for request in (*way.hostile, *way.harmless, way.neighbour):
        GenerateRequest.model_validate(request)
