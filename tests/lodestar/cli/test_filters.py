"""The options that say which jobs a command is about."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lodestar.cli.filters import OPTIONS
from lodestar.cli.main import cli
from lodestar.http.listing import Filters
from tests.lodestar.cli.conftest import Completed

COMMANDS = ("jobs", "cancel", "retry", "delete", "prioritize")
DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def options_of(command: str) -> dict[str, tuple[Any, ...]]:
    """What a command's options of these names are, as a person sees them."""
    group: Any = get_command(cli)
    return {
        each.name: (each.opts, each.help, each.metavar, each.multiple)
        for each in group.commands[command].params
        if each.name in Filters.__annotations__
    }


def test_every_filter_of_the_client_is_an_option_and_in_the_table_of_the_documentation() -> None:
    assert list(OPTIONS) == list(Filters.__annotations__)
    told = DOCS.read_text().partition("| option | keeps the jobs |\n|---|---|\n")[2].partition("\n\n")[0]
    words = "".join(line.split("|")[1] for line in told.splitlines())
    assert words.split() == [f"`--{name}`{',' * (name == 'since')}" for name in OPTIONS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_about_many_jobs_has_the_same_filters(command: str) -> None:
    found = options_of(command)
    assert set(found) == set(OPTIONS)
    assert found == options_of("jobs")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_values_of_filters_are_completed_for_every_command(command: str, completed: Completed) -> None:
    assert completed(command, "--status", "ca") == ["canceled"]
    assert completed(command, "--kind", "e") == ["embedding", "enlarge"]
