"""The command that checks an installation."""

from pathlib import Path

import pytest

from app.cli.commands import doctor
from tests.app.conftest import Run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def sound(models_file: Path) -> Path:
    """A catalog whose local models are there, as far as a look at their folders tells."""
    text = models_file.read_text()
    file = models_file.with_name("sound.toml")
    file.write_text(text[: text.index("[models.big]")] + text[text.index("[clips.pocket-m]") :])
    for name in ("pocket", "pocket-m", "pocket-s"):
        (file.parent / "models" / name).mkdir(parents=True)
    return file


def told(capsys: Captured) -> dict[str, tuple[str, str]]:
    """What was said of each thing, and its mark."""
    lines = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    return {name: (mark, detail) for mark, name, detail in lines}


def test_a_sound_installation_is_told_line_by_line(
    run: Run, sound: Path, url: str, redis_url: str, capsys: Captured
) -> None:
    assert run("doctor", "--models", str(sound), "--redis-url", redis_url, "--url", url) == 0
    lines = told(capsys)
    assert {name: mark for name, (mark, _) in lines.items()} == {
        **dict.fromkeys(("python", "torch", "device", "models", "redis", "disk"), "ok"),
        **dict.fromkeys(("search", "xformers", "service"), "note"),
    }
    assert lines["models"][1] == f"pocket of {sound}"
    assert lines["service"][1] == f"{url} is ready, with 0 workers"


def test_what_is_wrong_is_told_with_what_to_do_and_all_else_is_looked_at_too(
    run: Run, models_file: Path, hasty: None, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 60)
    nowhere = "http://127.0.0.1:1"
    assert (
        run("doctor", "--models", str(models_file), "--redis-url", "redis://127.0.0.1:1", "--url", nowhere)
        == 1
    )
    lines = told(capsys)
    assert lines["models"][0] == lines["redis"][0] == lines["disk"][0] == "wrong"
    assert "models/pocket does not exist" in lines["models"][1]
    assert "choose another --data-dir" in lines["disk"][1]
    assert lines["python"][0] == "ok"
    assert lines["service"][1] == f"none answers at {nowhere}; start one with: lodestar up"
