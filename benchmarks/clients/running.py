"""Runs the program of one client in its environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.clients.environments import PINS, javascript_folder, python_of, version_of
from benchmarks.clients.outcome import Outcome, read_outcomes
from benchmarks.clients.roster import JAVASCRIPT, REPLAYS, Client, JavaScript, Python
from benchmarks.places import ROOT

TIMEOUT_S = 300
_RESULTS = "results.jsonl"


def run(name: str, client: Client, url: str, key: str, folder: Path) -> list[Outcome]:
    """Make the calls of a client.

    Args:
        name: of the client.
        client: says how.
        url: of the service.
        key: of this client.
        folder: where the program works; it has the pictures that calls send.

    Raises:
        InstallationError: its environment cannot be made.
    """
    results = folder / _RESULTS
    env = {"SERVICE_URL": url, "SERVICE_KEY": key, "RESULTS": str(results), "PYTHONPATH": str(ROOT)}
    done = _start(command_of(client), folder, env)
    outcomes = read_outcomes(shown_name(name, client), results)
    if done is not None or not outcomes:
        outcomes.append(Outcome(shown_name(name, client), "the program", "fails", done or "made no call"))
    return outcomes


def command_of(client: Client) -> list[str]:
    """The command that runs the program of a client.

    Raises:
        InstallationError: its environment cannot be made.
    """
    match client:
        case Python():
            return [str(python_of(client.environment)), "-m", f"benchmarks.clients.programs.{client.program}"]
        case JavaScript():
            return ["node", str(javascript_folder() / client.program)]
        case _:
            return [sys.executable, "-m", "benchmarks.clients.replay", str(REPLAYS / client.file)]


def shown_name(name: str, client: Client) -> str:
    """The name of a client with its version."""
    match client:
        case Python(environment=str(environment)):
            return f"{name} {version_of(client.package, PINS / f'{environment}.txt')}"
        case JavaScript():
            return f"{name} {version_of(client.package, JAVASCRIPT / 'package-lock.json')}"
        case _:
            return name


def _start(command: list[str], folder: Path, env: Mapping[str, str]) -> str | None:
    """Run a program to its end; why it failed."""
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**inherited, **env},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"is not done after {TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["exited without a word"])[-1]
    return None
