"""The commands that make would run, without running them."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXTRAS = {
    "demo": "-e '.[api,worker,search]'",
    "up": "-e '.[api,worker,search]'",
    "test": "-e '.[api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev]'",
    "fuzz": "-e '.[api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev]'",
    "deploy-check": "-e '.[api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev]'",
    "clients": "-e '.[api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev]'",
    "lint": "-e '.[api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev]'",
}


ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"CI", "MAKEFLAGS"}}


def commands(target: str, **variables: str) -> str:
    """The commands that make would run without an environment."""
    assigned = [f"{name}={value}" for name, value in variables.items()]
    asked = subprocess.run(
        ["make", "--dry-run", target, "VENV=/nowhere", *assigned],
        cwd=ROOT,
        env=ENVIRONMENT,
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


def test_python_keeps_what_it_has_compiled_even_where_an_image_forbids_it() -> None:
    told = subprocess.run(
        ["make", "--silent", "--file", "Makefile", "--file", "-", "told"],
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONDONTWRITEBYTECODE": "1"},
        input='told:\n\t@echo "forbidden: $$PYTHONDONTWRITEBYTECODE"\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "forbidden: \n"
