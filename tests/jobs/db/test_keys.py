"""The map of Redis at the head of ``prelude.lua`` against the code that writes the keys."""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from jobs.db import keys as declarations
from jobs.db.scripts import PREFIX
from jobs.events.webhooks import WebhookQueue
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.requests.request import GenerateRequest
from jobs.status.view import View
from jobs.storage.job_files import BroughtFiles
from tests.jobs.queue.test_workers import worker
from tests.jobs.samples import RESOLVED, claimed, pictures_of

ROOT = Path(__file__).parents[3]
LUA = ROOT / "jobs" / "db" / "lua"
# A literal and what is put behind it: further literals, variables, fields, expressions in parentheses.
_IN_LUA = re.compile(r"prefix \.\. '([a-z0-9_:]+)'((?: \.\. (?:'[^']*'|[\w.]+(?:\[\w+\])?|\([^)]*\)))*)")


@dataclass(frozen=True)
class Row:
    """One key of the map."""

    type: str
    writers: tuple[str, ...]
    goes: str


@pytest.fixture(scope="module")
def keys() -> dict[str, Row]:
    """The map, by the keys with ``*`` in place of their variable parts."""
    head = (LUA / "prelude.lua").read_text().partition("\n\n")[0].splitlines()
    rows = [columns for line in head if len(columns := re.split(r" {2,}", line.removeprefix("-- "))) == 5]
    assert rows[0] == ["key", "type", "holds", "written by", "goes"]
    return {
        re.sub(r"<\w+>", "*", key): Row(kind, tuple(writers.split(", ")), goes)
        for key, kind, _, writers, goes in rows[1:]
    }


def shape(key: str, known: Collection[str]) -> str | None:
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


def test_every_key_of_the_scripts_is_on_the_map(keys: dict[str, Row]) -> None:
    found = set(keys_in_lua())
    assert {"waiting", "job:*", "held:*"} <= found
    assert {key for key in found if shape(key, keys) is None} == set()


def test_every_key_of_the_modules_is_on_the_map(keys: dict[str, Row]) -> None:
    found = set(keys_in_python())
    assert {"pace", "job:*", "a1111:jobs:*"} <= found
    assert {key for key in found if shape(key, keys) is None} == set()


def test_every_key_on_the_map_is_in_the_code(keys: dict[str, Row]) -> None:
    used = {shape(key, keys) for key in (*keys_in_lua(), *keys_in_python())}
    assert {key for key in keys if key not in used} == set()


def test_a_key_that_is_not_on_the_map_is_noticed(keys: dict[str, Row]) -> None:
    assert shape("waiting_room", keys) is None
    assert shape("webhook_line:a b", keys) == "webhook_line:* *"
    assert shape("events:1", keys) == "events:*"


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
    queue.seen_by(View("studio", is_whole=False)).submit(RESOLVED, original=asked, files=files)
    Reaper(redis, ticket_grace_s=0, outage_grace_s=0).sweep()
    reaper.sweep()


def test_every_writer_on_the_map_writes_its_key(keys: dict[str, Row]) -> None:
    given = {key for key in keys if key.startswith("idempotency")}  # an argument of the script that writes it
    pairs = {(writer, key) for key, row in keys.items() if key not in given for writer in row.writers}
    assert {(writer, key) for writer, key in pairs if not writes(writer, key)} == set()


def writes(writer: str, key: str) -> bool:
    """Whether a script, a function of the prelude, or a module spells a key or calls what spells it."""
    fixed, rest, _ = key.partition("*")
    in_lua = f"prefix .. '{fixed}" if rest else f"prefix .. '{fixed}'"
    if writer.endswith(".py"):
        (module,) = (file for room in ("jobs", "app") for file in (ROOT / room).rglob(writer))
        declared = vars(declarations).items()
        names = [f"keys.{name}" for name, each in declared if each == PREFIX + key]
        names += [
            f"keys.{name}("
            for name, each in declared
            if name == fixed.rstrip(":") and each("*") == PREFIX + key
        ]
        return any(name in module.read_text() for name in (*names, f"{{PREFIX}}{fixed}"))
    prelude = (LUA / "prelude.lua").read_text()
    functions = dict(re.findall(r"^local function (\w+)\((.*?)^end", prelude, re.MULTILINE | re.DOTALL))
    callees = [f"{name}(" for name, text in functions.items() if in_lua in text]
    text = functions[writer] if writer in functions else (LUA / f"{writer}.lua").read_text()
    return any(word in text for word in (in_lua, *callees))


def test_a_life_of_jobs_leaves_keys_as_the_map_says(redis: Redis, keys: dict[str, Row]) -> None:
    live(redis)
    found = {str(key) for key in redis.scan_iter("*") if not str(key).startswith(PREFIX + "rq:")}
    seen = set()
    for key in found:
        place = shape(key.removeprefix(PREFIX), keys)
        assert key.startswith(PREFIX)
        assert place is not None, key
        seen.add(place)
        row, expires = keys[place], redis.ttl(key) >= 0
        assert str(redis.type(key)) == row.type, key
        if row.goes.startswith(("after ", "with ")):
            assert expires, key
        elif row.goes.startswith(("at ", "when ", "never")):
            assert not expires, key
    assert len(seen) > 25, sorted(keys.keys() - seen)
