"""The map of Redis at the head of ``prelude.lua`` against the code that writes the keys."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs.db.scripts import PREFIX
from jobs.events.webhooks import WebhookQueue
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import GenerateRequest
from jobs.storage.job_files import BroughtFiles
from tests.jobs.queue.test_workers import worker
from tests.jobs.samples import RESOLVED, claimed, pictures_of

ROOT = Path(__file__).parents[3]
LUA = ROOT / "jobs" / "db" / "lua"
_ROW = re.compile(r"^-- (?P<key>\S.*?) +(?P<type>hash|zset|set|string|list|stream|channel) +\S")
# A literal and what is put behind it: further literals, variables, fields, expressions in parentheses.
_IN_LUA = re.compile(r"prefix \.\. '([a-z0-9_:]+)'((?: \.\. (?:'[^']*'|[\w.]+(?:\[\w+\])?|\([^)]*\)))*)")


@pytest.fixture(scope="module")
def types() -> dict[str, str]:
    """Type of each key of the map, by the key with ``*`` in place of its variable parts."""
    head = (LUA / "prelude.lua").read_text().partition("\n\n")[0].splitlines()
    rows = [found for line in head if (found := _ROW.match(line))]
    assert len(rows) > 30
    return {re.sub(r"<\w+>", "*", row["key"]): row["type"] for row in rows}


def shape(key: str, known: dict[str, str]) -> str | None:
    """The entry of the map for a key: the one with the longest fixed part."""
    fits = [each for each in known if re.fullmatch(re.escape(each).replace(r"\*", ".*"), key, re.DOTALL)]
    return max(fits, key=lambda each: len(each.replace("*", ""))) if fits else None


def keys_in_lua() -> Iterator[str]:
    for script in LUA.glob("*.lua"):
        for first, rest in _IN_LUA.findall(script.read_text()):
            parts = rest.removeprefix(" .. ").split(" .. ") if rest else []
            yield first + "".join(part.strip("'") if part.startswith("'") else "*" for part in parts)


def keys_in_python() -> Iterator[str]:
    """Keys that are put together from PREFIX, as a sum or in an f-string."""
    for module in (
        *(ROOT / "jobs").rglob("*.py"),
        *(ROOT / "app").rglob("*.py"),
        *(ROOT / "worker").rglob("*.py"),
    ):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.BinOp(left=ast.Name(id="PREFIX"), right=ast.Constant(value=str(name))):
                    yield name
                case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="PREFIX")), *parts]):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts
                    )


def test_every_key_of_the_scripts_is_on_the_map(types: dict[str, str]) -> None:
    found = set(keys_in_lua())
    assert {"waiting", "job:*", "held:*"} <= found
    assert {key for key in found if shape(key, types) is None} == set()


def test_every_key_of_the_modules_is_on_the_map(types: dict[str, str]) -> None:
    found = set(keys_in_python())
    assert {"pace", "job:*", "a1111:jobs:*"} <= found
    assert {key for key in found if shape(key, types) is None} == set()


def test_every_key_on_the_map_is_in_the_code(types: dict[str, str]) -> None:
    used = {shape(key, types) for key in (*keys_in_lua(), *keys_in_python())}
    assert {key for key in types if key not in used} == set()


def test_a_key_that_is_not_on_the_map_is_noticed(types: dict[str, str]) -> None:
    assert shape("waiting_room", types) is None
    assert shape("webhook_line:a b", types) == "webhook_line:* *"
    assert shape("events:1", types) == "events:*"


def live(redis: Redis) -> None:
    """Let jobs pass through all that may happen to them, and leave some in every state."""
    queue, leases, reaper = JobQueue(redis, max_queued=100), Leases(redis, worker="steady"), Reaper(redis)
    webhook = {"url": "https://example.com/hook", "events": ["started", "done"]}
    asked = GenerateRequest.model_validate({"prompt": "a red apple", "webhook": webhook})
    files = BroughtFiles(inputs=("ab" * 32,), inputs_bytes=7, uploads_bytes=3)
    for number in range(6):
        key = f"key {number}"
        queue.submit(RESOLVED, original=asked, idempotency_key=key, caller="ann" * (number % 2), files=files)
    ids = [job.id for job in queue.list().data]
    lease = claimed(leases, ids[0])
    leases.preview(lease, 0, 1, b"jpeg")
    leases.succeed(lease, pictures_of(lease))
    leases.preview(claimed(leases, ids[1]), 0, 1, b"jpeg")
    leases.surrender(claimed(leases, ids[2]))
    redis.hset(f"{PREFIX}job:{ids[3]}", "request", "{}")
    Leases(redis, worker="old").claim_next()
    queue.check()
    queue.cancel(ids[4])
    registry = WorkerRegistry(redis)
    registry.announce(worker("steady").model_copy(update={"room": 1, "speed": 5.0}))
    owed = WebhookQueue(redis)
    owed.own_secret()
    deliveries = [delivery for _ in range(3) if (delivery := owed.take())]
    owed.retry(deliveries[0], 60, "nobody answered", is_silent=True)
    Reaper(redis, ticket_grace_s=0, outage_grace_s=0).sweep()
    reaper.sweep()


def test_a_life_of_jobs_leaves_keys_of_the_types_on_the_map(redis: Redis, types: dict[str, str]) -> None:
    live(redis)
    keys = {str(key) for key in redis.scan_iter("*") if not str(key).startswith("rq:")}
    found = {key.removeprefix(PREFIX): str(redis.type(key)) for key in keys}
    assert all(key.startswith(PREFIX) for key in keys)
    assert {key for key in found if shape(key, types) is None} == set()
    assert {key: kind for key, kind in found.items() if types[str(shape(key, types))] != kind} == {}
    seen = {shape(key, types) for key in found}
    assert len(seen) > 25, sorted(types.keys() - seen)
