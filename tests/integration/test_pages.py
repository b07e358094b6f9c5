"""The commands of the documentation, page by page as they stand, against the real stack.

All commands of a page are one script, so that a variable or a file of one block is there in the next. An answer that is
an error ends the script, as does a command that fails.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.cli.private_server import private_server
from benchmarks.clients.pictures import write_pictures
from jobs.status.job import Job
from tests.blocks import blocks
from tests.brought_pictures import greys, scene
from tests.forked_commands import forked_commands
from tests.integration.stack import PATIENCE_S, Stack

PROMPT = "noto red apple"
JOB_ID = re.compile(r"01a203[0-9a-f]{22}")
SCRIPTS: dict[str, str] = defaultdict(str)
PROGRAMS: dict[str, str] = defaultdict(str)
for block in blocks():
    if block.is_run_here and block.language in {"sh", "python"}:
        kind = SCRIPTS if block.language == "sh" else PROGRAMS
        kind[block.page] += f"{block.code}\n"


def write_shims(folder: Path) -> None:
    """Commands in front of the real ones: curl fails for an error, and no window opens."""
    folder.mkdir()
    programs = {
        "curl": f'exec {shutil.which("curl")} --fail-with-body "$@"',
        "xdg-open": "exit 0",
    }
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)


def write_files(stack: Stack, folder: Path, job: Job) -> None:
    """What commands name: pictures of a job and of the caller's own, a mask, the data folder."""
    write_pictures(folder)
    shutil.copy(folder / "mask.png", folder / "hole.png")
    Image.new("L", (64, 64), 0).save(folder / "mask.png")
    with Image.open(folder / "mask.png") as mask:
        mask.paste(255, (0, 0, 64, 32))
        mask.save(folder / "mask.png")
    for name in ("one.png", "two.jpg", "mine.png"):
        scene(64, 64).save(folder / name)
    for name in ("dull.png", "grey.png"):
        greys().save(folder / name)
    for suffix in ("png", "webp", "jpeg"):
        picture = stack.client.call("GET", f"/v1/jobs/{job.id}/images/0.{suffix}").content
        (folder / f"apple.{suffix}").write_bytes(picture)
    for name in ("fox-0.png", "fox-1.png"):
        shutil.copy(folder / "apple.png", folder / name)
    (folder / "data").symlink_to(stack.data_dir)


def filled(text: str, stack: Stack, job: Job) -> str:
    """With this service, and things that it has, in the place of the page's."""
    text = re.sub(r"(localhost|127\.0\.0\.1):8000", f"127.0.0.1:{stack.port}", text)
    text = JOB_ID.sub(job.id, text).replace('"sha256:..."', f'"{job.id}/0"')
    return text.replace("redis://10.0.0.5:6379/0", private_server(stack.data_dir))


@pytest.fixture
def job(stack: Stack) -> Iterator[Job]:
    """A finished job of two pictures, and the embedding of ratings of 9; the embeddings go again."""
    generation = stack.client.generate(PROMPT, num_images=2, seed=7, steps=5, guidance="fast")
    generation.pictures()
    made = stack.client.embeddings.make("rating9", [generation.jobs[0].id])
    stack.client.jobs.wait(made.id, timeout_s=PATIENCE_S)
    yield generation.jobs[0]
    for embedding in stack.client.embeddings.list():
        stack.client.embeddings.delete(embedding.name)


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the command `lodestar`."""
    folder = tmp_path_factory.mktemp("bin")
    with forked_commands(folder / "lodestar"):
        yield folder


@pytest.mark.parametrize("page", sorted(SCRIPTS))
def test_the_commands_of_a_page_do(
    page: str, stack: Stack, job: Job, command_line: Path, tmp_path: Path
) -> None:
    for program in ("curl", "jq"):
        if shutil.which(program) is None and not os.environ.get("CI"):
            pytest.skip(f"needs {program}")
    write_shims(tmp_path / "bin")
    write_files(stack, tmp_path, job)
    env = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{command_line}:{os.environ['PATH']}",
        "LODESTAR_URL": stack.url,
        "LODESTAR_KEY": "",
        "ID": job.id,
        "OTHER": job.id,
    }
    done = subprocess.run(
        ["sh", "-eux", "-c", filled(SCRIPTS[page], stack, job)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", sorted(PROGRAMS))
def test_the_python_of_a_page_does(page: str, stack: Stack, job: Job, tmp_path: Path) -> None:
    write_files(stack, tmp_path, job)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", filled(PROGRAMS[page], stack, job)],
        cwd=tmp_path,
        env={**os.environ, "LODESTAR_URL": stack.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
