"""The images: who they run as, how they stop, and that what they call exists."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.api.settings import ApiSettings
from tests.deploy.dockerfile import ROOT, Stage, environment, stages
from worker.settings import WorkerSettings

IMAGES = ["api", "worker"]


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Stage:
    return stages()[request.param]


@pytest.mark.parametrize("stage", IMAGES, indirect=True)
def test_an_image_ends_as_a_user_other_than_root(stage: Stage) -> None:
    # By number, so that Kubernetes' runAsNonRoot can tell.
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage.all("USER")[-1])
    names = [name for name, _ in stage.instructions]
    assert "RUN" not in names[names.index("USER") :]


@pytest.mark.parametrize("stage", IMAGES, indirect=True)
def test_an_image_gets_its_stop_signal_and_its_commands_without_a_shell_between(stage: Stage) -> None:
    assert stage.all("STOPSIGNAL") == ["SIGTERM"]
    assert isinstance(json.loads(stage.all("ENTRYPOINT")[-1]), list)
    assert isinstance(json.loads(stage.all("HEALTHCHECK")[-1].split("CMD", 1)[1]), list)


@pytest.mark.parametrize("stage", IMAGES, indirect=True)
def test_an_image_takes_every_package_from_a_lock(stage: Stage) -> None:
    installs = [run for run in stage.all("RUN") if "pip install" in run]
    assert all("--require-hashes" in run or "--no-deps" in run for run in installs)
    assert any("--require-hashes" in run for run in installs)


@pytest.mark.parametrize("stage", ["wheel", *IMAGES], indirect=True)
def test_a_stage_copies_only_what_the_repository_has(stage: Stage) -> None:
    sources = [name for copy in stage.all("COPY") for name in copy.split()[:-1]]
    sources += [path for run in stage.all("RUN") for path in re.findall(r"bind,source=([^,\s]+)", run)]
    assert [name for name in sources if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("stage", "settings"), [("api", ApiSettings), ("worker", WorkerSettings)], indirect=["stage"]
)
def test_an_image_sets_only_variables_that_its_process_reads(
    stage: Stage, settings: type[ApiSettings | WorkerSettings]
) -> None:
    ours = {name for name in environment(stage) if name.startswith("LODESTAR_")}
    assert ours <= {f"LODESTAR_{name.upper()}" for name in settings.model_fields}


def lodestar_commands() -> list[str]:
    """Each `lodestar` subcommand that an image starts with or is checked by."""
    lines = [
        line
        for name in IMAGES
        for line in (*stages()[name].all("ENTRYPOINT"), *stages()[name].all("HEALTHCHECK"))
    ]
    return sorted({match for line in lines for match in re.findall(r'"lodestar", "([a-z-]+)"', line)})


def test_the_images_start_the_command_line() -> None:
    assert {"serve", "worker"} <= set(lodestar_commands())


@pytest.mark.parametrize("command", lodestar_commands())
def test_the_command_line_has_what_the_images_call(command: str) -> None:
    lodestar = Path(sys.executable).with_name("lodestar")
    done = subprocess.run(
        [lodestar, command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
