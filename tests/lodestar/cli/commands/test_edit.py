"""The command that edits, as the job shows it."""

from pathlib import Path

import pytest
from PIL import Image

from app.api.settings import ApiSettings
from jobs.queue.queue import JobQueue
from lodestar.cli.exits import Exit
from tests.app.conftest import Run
from tests.app.editor import with_editor

pytestmark = pytest.mark.usefixtures("url")


@pytest.fixture
def settings(settings: ApiSettings, tmp_path: Path) -> ApiSettings:
    return with_editor(settings, tmp_path)


def test_a_file_is_changed_as_the_prompt_says_by_the_model_that_edits(run: Run, queue: JobQueue) -> None:
    Image.new("RGB", (64, 64), "white").save("pear.png")
    words = (
        "edit",
        "pear.png",
        "make the background blue",
        "--image-cfg-scale",
        "1.2",
        "--set",
        "edit.fit=pad",
    )
    assert run(*words, "--wait", "0", "--quiet") == 6
    request = queue.list().data[0].generation
    assert request.edit is not None
    assert (request.model, request.edit.image_cfg_scale, request.edit.fit) == ("editor", 1.2, "pad")
    assert request.edit.image.digest is not None


def test_a_model_that_edits_nothing_is_refused(
    run: Run, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64), "white").save("pear.png")
    assert run("edit", "pear.png", "make it blue", "--model", "pocket", "--quiet") == Exit.USAGE
    assert "models that do: editor" in capsys.readouterr().err
    assert queue.list().data == ()
