"""The run of other services' clients: its pins, its table, and what the page says."""

import json
from pathlib import Path

import pytest

from benchmarks.clients.environments import PINS, version_of
from benchmarks.clients.outcome import Outcome, failures, read_outcomes
from benchmarks.clients.replay import at
from benchmarks.clients.roster import CLIENTS, HERE, JAVASCRIPT, REPLAYS, JavaScript, Python, Replay
from benchmarks.clients.running import shown_name
from benchmarks.clients.service import ALIASES, with_aliases
from benchmarks.clients.table import PAGE, counts, table, write_table
from benchmarks.places import CATALOG
from jobs.catalog.catalog import load_catalog

WORKS = Outcome("a 1", "one | two", "works")
REFUSED = Outcome("a 1", "three", "not served", "no <such> thing", "openai.md#fields")
FAILS = Outcome("b 2", "four", "fails", "an error\nof two lines")


def test_a_table_has_a_row_for_each_call() -> None:
    assert table([WORKS, REFUSED, FAILS]).splitlines()[2:] == [
        r"| a 1 | one \| two | works |",
        "|  | three | [not served](openai.md#fields): no &lt;such> thing |",
        "| b 2 | four | **fails**: an error of two lines |",
    ]
    assert counts([WORKS, REFUSED, FAILS]) == "2 clients, 3 calls: 1 work, 1 are not served, 1 fail."
    assert failures([WORKS, REFUSED, FAILS]) == [FAILS]


def test_the_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "clients.md"
    page.write_text("before\n<!-- table: make clients -->\nold\n<!-- end of the table -->\nafter\n")
    for outcomes in ([FAILS], [WORKS, REFUSED]):
        write_table(outcomes, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "four" not in text
    assert table([WORKS, REFUSED]) in text
    page.write_text("no place")
    with pytest.raises(ValueError, match="no place for the table"):
        write_table([WORKS], page)


def test_a_program_writes_its_outcomes(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    assert read_outcomes("a 1", file) == []
    file.write_text(json.dumps({"call": "four", "result": "fails", "why": FAILS.why}) + "\n")
    assert read_outcomes("b 2", file) == [FAILS]


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_is_there_and_pinned(name: str) -> None:
    match client := CLIENTS[name]:
        case Python():
            assert (HERE / "programs" / f"{client.program}.py").exists()
        case JavaScript():
            assert (JAVASCRIPT / client.program).exists()
        case Replay():
            assert json.loads((REPLAYS / client.file).read_text())["calls"]
    assert shown_name(name, client).startswith(name)


@pytest.mark.parametrize("asked", sorted(PINS.glob("*.in")), ids=lambda file: file.stem)
def test_every_version_of_an_environment_is_pinned(asked: Path) -> None:
    lines = [line for line in asked.with_suffix(".txt").read_text().splitlines() if line[:1].isalnum()]
    assert lines
    assert [line for line in lines if "==" not in line] == []
    with pytest.raises(StopIteration):
        version_of("nothing", asked.with_suffix(".txt"))


def test_the_page_has_every_client_of_the_run_at_its_version_and_no_failure() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, client in CLIENTS.items():
        assert f"| {shown_name(name, client)} |" in text
    assert "**fails**" not in text
    assert ", 0 fail." in text


def test_the_catalog_of_the_run_has_the_aliases_and_finds_its_files(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(with_aliases(CATALOG.read_text(), CATALOG.parent))
    card = load_catalog(file).models[0]
    assert card.aliases == ALIASES
    assert card.path == CATALOG.parent / "models/pocket"


def test_a_place_of_an_answer_is_a_path() -> None:
    answer = {"images": ["a"], "info": json.dumps({"all_seeds": [7]})}
    assert at(answer, "images.0") == "a"
    assert at(answer, "info|all_seeds.0") == 7
    assert at([], "") == []
