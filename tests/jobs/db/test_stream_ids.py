"""Ids of the entries of Redis' streams: whatever is read as one, Redis takes in a range."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from jobs.db.stream_ids import StreamId

HOSTILE = (
    "",
    "0",
    "-",
    "+",
    "$",
    "*",
    "(0-0",
    "0-0-0",
    "1-",
    "-1",
    " 1-1",
    "1-1\n",
    "1-1\0",
    "١-١",
    "\ud800",
    "1_0-1",
    "1e3-0",
    f"{2**64 - 1}-0",
    f"0-{2**64 - 1}",
    f"{2**64}-0",
    "9" * 20 + "-0",
    "1" * 100_000 + "-0",
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
def test_what_no_entry_can_have_is_no_id(text: str) -> None:
    assert StreamId.read(text) is None
    with pytest.raises(ValueError, match="not the id of an entry"):
        StreamId.of(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0-0", "0-0"),
        ("0-1", "0-1"),
        ("1767225600000-0", "1767225600000-0"),
        ("007-1", "7-1"),
        (f"{2**64 - 2}-{2**64 - 2}", f"{2**64 - 2}-{2**64 - 2}"),
    ],
)
def test_redis_takes_every_id_at_either_end_of_a_range(redis: Redis, text: str, written: str) -> None:
    redis.xadd("stream", {"a": "b"}, id="5-5")
    found = StreamId.of(text)
    assert str(found) == written
    following: Any = redis.xrange("stream", min=found.after)
    preceding: Any = redis.xrevrange("stream", max=found.before)
    assert bool(following) == (found < StreamId(5, 5))
    assert bool(preceding) == (found > StreamId(5, 5))


parts = st.integers(0, 2**64 - 2)


@given(parts, parts, parts, parts)
def test_ids_have_the_order_of_their_numbers(first: int, second: int, third: int, fourth: int) -> None:
    one, other = StreamId.of(f"{first}-{second}"), StreamId.of(f"{third}-{fourth}")
    assert (one < other) == ((first, second) < (third, fourth))
    assert StreamId.of(str(one)) == one
