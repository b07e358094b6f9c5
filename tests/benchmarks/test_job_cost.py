"""What a job costs the server is what the documentation says."""

import re
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.load.job_cost import bytes_by_status, commands_by_step
from tests.jobs.samples import RESOLVED

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
MOST_SENT = 25  # by a job among 16 that take half a minute


def documented(first: str) -> list[int]:
    """The numbers of a row of a table."""
    (row,) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [int(cell.replace(",", "")) for cell in row.split("|")]


def test_the_commands_of_a_job_are_those_of_the_map(redis: Redis) -> None:
    counted = commands_by_step(redis, RESOLVED)
    assert {step: [each.sent, each.run] for step, each in counted.items()} == {
        step: documented(step) for step in counted
    }
    sent = {step: each.sent for step, each in counted.items()}
    renewals = 30 * sent.pop("renew 16 jobs") / 16
    assert sum(sent.values()) + renewals <= MOST_SENT


@pytest.mark.parametrize("column", [0, 1])
def test_the_bytes_of_a_job_are_those_of_the_map(column: int, redis: Redis) -> None:
    settings = {"hash-max-listpack-value": "2048", "stream-node-max-bytes": "1024"} if column else {}
    before = {name: str(redis.config_get(name)[name]) for name in settings}
    for name, value in settings.items():
        redis.config_set(name, value)
    try:
        counted = bytes_by_status(redis, RESOLVED)
    finally:
        for name, value in before.items():
            redis.config_set(name, value)
    for status, number in counted.items():
        assert 0.8 * documented(status)[column] < number <= documented(status)[column], (status, number)
