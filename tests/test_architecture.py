"""Rules that the import linter cannot check: imports inside third-party packages, and the cost of imports."""

import json
import subprocess
import sys
import time
from functools import cache

import pytest

TORCH_STACK = {"torch", "torchvision", "diffusers", "transformers", "open_clip"}
WEB_STACK = {"fastapi", "starlette"}


def fresh(module: str) -> "subprocess.CompletedProcess[str]":
    """A fresh interpreter that has imported ``module`` alone; its last line on stderr are the names that are loaded."""
    code = f"import {module}; import json, sys; print(json.dumps([*sys.modules]), file=sys.stderr)"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


imported = cache(fresh)


def loaded_by(module: str) -> set[str]:
    """Top-level names in `sys.modules` after the import of `module`."""
    done = imported(module)
    assert done.returncode == 0, f"`import {module}` failed:\n{done.stderr}"
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.mark.parametrize("module", ["app.api.main", "app.cli.main"])
def test_the_http_side_starts_without_the_torch_stack(module: str) -> None:
    assert loaded_by(module) & TORCH_STACK == set()


def test_the_worker_starts_without_a_web_framework() -> None:
    assert loaded_by("worker.serving.consumer") & WEB_STACK == set()


def test_the_command_line_answers_quickly() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        fresh("app.cli.main")
        return time.perf_counter() - start

    # One of three, because a busy machine can slow any one of them; torch alone would take longer than this.
    assert any(seconds() < 2.0 for _ in range(3))


@pytest.mark.parametrize("module", ["app.api.main", "app.cli.main", "worker.serving.consumer"])
def test_importing_prints_nothing(module: str) -> None:
    done = imported(module)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (0, "", 1), done.stderr
