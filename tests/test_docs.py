"""The documentation names everything that a user can set, call or meet."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app.api.main import create_app
from app.api.problems.kinds import KINDS
from app.api.settings import ApiSettings
from app.cli.main import cli
from docs.make_reference import reference
from docs.site_hooks import loaded_from_elsewhere
from tests.blocks import PAGES as TEXTS
from tests.blocks import REASONS, blocks
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
MOST_BYTES_OF_A_PICTURE = 61_000
PAGES = {page.name: page.read_text() for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("name", sorted({*ApiSettings.model_fields, *WorkerSettings.model_fields}))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`LODESTAR_{name.upper()}`" in PAGES["operating.md"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_error_is_documented(kind: str) -> None:
    assert f"`{kind}`" in PAGES["api.md"]


def test_every_route_is_documented() -> None:
    app = create_app(ApiSettings(models_file=ROOT / "models.toml"))
    for path in app.openapi()["paths"]:
        stem = re.sub(r"\{.*", "", path).rstrip("/")
        assert stem in PAGES["api.md"], path


def test_every_field_of_a_request_is_documented() -> None:
    assert PAGES["request.md"] == reference(), "write it anew: python -m docs.make_reference"


def test_every_process_that_the_command_starts_is_documented() -> None:
    command = get_command(cli)
    names = {"up", "serve", "worker", "worker-health"}
    assert names <= set(command.commands)  # type: ignore[attr-defined]
    for name in names:
        assert f"`lodestar {name}`" in PAGES["operating.md"]


def test_every_command_of_the_client_is_documented_with_its_options() -> None:
    for name, command in commands_of(get_command(cli)):
        if f"`{name}`" in PAGES["operating.md"]:
            continue
        assert f"| `{name}` |" in PAGES["cli.md"], name
        for option in (option for each in command.params for option in (*each.opts, *each.secondary_opts)):
            assert not option.startswith("-") or f"`{option}`" in PAGES["cli.md"], (name, option)


def commands_of(group: Any, name: str = "lodestar") -> Iterator[tuple[str, Any]]:
    """All commands, also those of groups."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def test_every_fault_that_is_documented_is_injected_by_a_test_that_exists() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    rows = [line for line in PAGES["reliability.md"].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in tests, name


def test_every_threat_is_answered_and_tested() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    _, _, threats = PAGES["security.md"].partition("## Threats")
    rows = [line for line in threats.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 5
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in tests, name


def test_the_pictures_of_the_dashboard_load_quickly() -> None:
    shots = list((ROOT / "docs" / "images").glob("dashboard-*"))
    assert shots
    for picture in shots:
        assert picture.stat().st_size < MOST_BYTES_OF_A_PICTURE, picture


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_page_is_in_the_navigation_of_the_site(page: str) -> None:
    assert re.search(rf"^ *- (.*: )?{page}$", (ROOT / "mkdocs.yml").read_text(), re.M), "add it to mkdocs.yml"


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in TEXTS])
def test_every_link_between_pages_leads_somewhere(page: str) -> None:
    source = ROOT / page
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", source.read_text()):
        if "://" not in target:
            assert (source.parent / target).exists(), target


@pytest.mark.parametrize(
    "text",
    [
        '<img alt="" src="https://example.com/a.png">',
        "<script async src=//example.com/a.js></script>",
        '<link rel="stylesheet" href="https://fonts.example.com/css?family=Roboto">',
        "a { background: url('https://example.com/a.png') }",
        '@import "https://example.com/a.css";',
    ],
)
def test_the_site_refuses_what_loads_from_another_host(text: str) -> None:
    assert loaded_from_elsewhere(text)


@pytest.mark.parametrize("text", ['<a href="https://example.com">', '<img src="images/a.png">', "url(#end)"])
def test_the_site_takes_links_and_what_it_has_itself(text: str) -> None:
    assert loaded_from_elsewhere(text) is None


def test_every_code_block_is_run_or_says_why_not() -> None:
    known = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for block in blocks():
        if block.run_by is not None:
            assert f"def {block.run_by}(" in known, block
        elif block.reason is not None:
            assert re.search(REASONS[block.reason], f"{block.language}\n{block.code}"), block
        else:
            assert block.language in {"sh", "python", "json", "toml"} or block.page == "CONTRIBUTING.md", (
                block
            )


def test_every_message_of_the_troubleshooting_page_is_one_that_the_service_says() -> None:
    folders = ("app", "jobs", "lodestar", "worker")
    files = [
        file for folder in folders for ending in ("py", "js") for file in (ROOT / folder).rglob(f"*.{ending}")
    ]
    code = "\n".join(file.read_text("utf-8") for file in [*files, ROOT / "Makefile"])
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a text over several lines
    rows = re.findall(r"^\| (.*?) \|", PAGES["troubleshooting.md"], re.M)
    quoted = [piece for row in rows for words in re.findall(r"`([^`]+)`", row) for piece in words.split("…")]
    said = [piece.strip() for piece in quoted if len(piece.strip()) > 2]
    assert len(said) > 30
    assert [piece for piece in said if piece not in code] == []


def test_no_page_and_no_message_installs_a_strangers_package() -> None:
    """The name belongs to another project on PyPI, so only a checkout installs this one."""
    folders = (
        "app",
        "benchmarks",
        "deploy",
        "docs",
        "examples",
        "jobs",
        "lodestar",
        "models",
        "tests",
        "training",
        "worker",
    )
    files = [*ROOT.glob("*"), *(file for folder in folders for file in (ROOT / folder).rglob("*"))]
    texts = [file for file in files if file.suffix in {".html", ".js", ".md", ".py", ".toml", ".txt", ".yml"}]
    # A folder of the checkout, or the client's distribution, is another thing.
    bare = re.compile(r"pip3? install[^\n`]*(?<![./=])\blodestar\b(?!-)|(?<![./])\blodestar\[[a-z]")
    assert [file for file in texts if file != Path(__file__) and bare.search(file.read_text("utf-8"))] == []
