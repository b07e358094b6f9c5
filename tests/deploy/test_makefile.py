"""The commands that make would run, without running them."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXTRAS = {
    "demo": "-e '.[api,worker,search]'",
    "up": "-e '.[api,worker,search]'",
    "test": "-e '.[api,worker,search,upscale,s3,c2pa,safety,training,dev]'",
    "fuzz": "-e '.[api,worker,search,upscale,s3,c2pa,safety,training,dev]'",
    "clients": "-e '.[api,worker,search,upscale,s3,c2pa,safety,training,dev]'",
    "lint": "-e '.[api,worker,search,upscale,s3,c2pa,safety,training,dev]'",
}


def commands(target: str, **variables: str) -> str:
    """The commands that make would run without an environment."""
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "MAKEFLAGS"}}
    assigned = [f"{name}={value}" for name, value in variables.items()]
    asked = subprocess.run(
        ["make", "--dry-run", target, "VENV=/nowhere", *assigned],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout


@pytest.mark.parametrize("target", EXTRAS)
def test_a_newcomer_installs_what_the_target_needs(target: str) -> None:
    script = commands(target)
    assert EXTRAS[target] in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("target", EXTRAS)
def test_ci_installs_what_is_locked(target: str) -> None:
    script = commands(target, CI="1")
    assert "--require-hashes -r deploy/requirements.lock" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
