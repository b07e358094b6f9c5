"""The outcomes as a table of ``docs/clients.md``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.clients.outcome import Outcome
from benchmarks.places import ROOT

PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- table: make clients -->", "<!-- end of the table -->"
_HEAD = "| client | call | result |\n|---|---|---|"
_BETWEEN = re.compile(f"{re.escape(BEGIN)}\n.*{re.escape(END)}", re.DOTALL)


def table(outcomes: Iterable[Outcome]) -> str:
    """One row for each call; a client's name stands in its first row."""
    rows, before = [_HEAD], ""
    for outcome in outcomes:
        client = "" if outcome.client == before else outcome.client
        before = outcome.client
        rows.append(f"| {client} | {_plain(outcome.call)} | {_result(outcome)} |")
    return "\n".join(rows)


def counts(outcomes: Sequence[Outcome]) -> str:
    """How many calls of how many clients work."""
    number: dict[str, int] = defaultdict(int)
    for outcome in outcomes:
        number[outcome.result] += 1
    clients = len({outcome.client for outcome in outcomes})
    return (
        f"{clients} clients, {len(outcomes)} calls: {number['works']} work, {number['not served']} are not served, "
        f"{number['fails']} fail."
    )


def write_table(outcomes: Sequence[Outcome], page: Path = PAGE) -> None:
    """Put the table into the page."""
    text = page.read_text(encoding="utf-8")
    inner = f"{BEGIN}\n{counts(outcomes)}\n\n{table(outcomes)}\n{END}"
    if not _BETWEEN.search(text):
        raise ValueError(f"{page} has no place for the table: {BEGIN} ... {END}")
    page.write_text(_BETWEEN.sub(lambda _: inner, text), encoding="utf-8")


def _result(outcome: Outcome) -> str:
    match outcome.result:
        case "works":
            return "works"
        case "not served":
            return f"[not served]({outcome.page}): {_plain(outcome.why)}"
        case _:
            return f"**fails**: {_plain(outcome.why)[:300]}"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
