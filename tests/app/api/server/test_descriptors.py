"""The process opens as many files as the system lets it, and not all of them are for clients."""

import resource
import subprocess
import sys

import pytest

from app.api.server.descriptors import connections_within

RAISE = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
TELL = (
    "from app.api.server.descriptors import raise_limit; "
    "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
)


def test_the_soft_limit_becomes_the_hard_one() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 600 if hard == resource.RLIM_INFINITY else min(hard, 600)
    script = RAISE.format(soft=200, hard=wanted) + TELL
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(wanted)] * 3


@pytest.mark.parametrize(("limit", "most"), [(300, 150), (1024, 768), (20_000, 10_000), (1 << 20, 10_000)])
def test_there_are_fewer_connections_than_descriptors(limit: int, most: int) -> None:
    assert connections_within(limit) == most
