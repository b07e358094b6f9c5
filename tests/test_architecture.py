"""Rules that the import linter cannot check: imports inside third-party packages, and the cost of imports."""

import json
import subprocess
import sys
import time

import pytest

TORCH_STACK = {"torch", "torchvision", "diffusers", "transformers", "open_clip"}
WEB_STACK = {"fastapi", "starlette"}


def loaded_by(module: str) -> set[str]:
    """Top-level names in `sys.modules` of a fresh interpreter that has imported `module` and nothing else."""
    code = (
        f"import json, sys, {module}; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"`import {module}` failed:\n{done.stderr}"
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["app.api.main", "app.cli.main"])
def test_the_http_side_starts_without_the_torch_stack(module: str) -> None:
    assert loaded_by(module) & TORCH_STACK == set()


def test_the_worker_starts_without_a_web_framework() -> None:
    assert loaded_by("worker.serving.consumer") & WEB_STACK == set()


def test_the_command_line_answers_quickly() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        loaded_by("app.cli.main")
        return time.perf_counter() - start

    # The best of three, because a busy machine can slow any one of them; torch alone would take longer than this.
    assert min(seconds() for _ in range(3)) < 2.0


@pytest.mark.parametrize("module", ["app.api.main", "app.cli.main", "worker.serving.consumer"])
def test_importing_prints_nothing(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
