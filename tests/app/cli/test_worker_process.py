"""A process of the worker is followed to its result."""

import os
from pathlib import Path

import pytest

from app.cli.worker_process import followed
from jobs.errors import ConfigurationError, LodestarError

Out = pytest.CaptureFixture[str]
TELL = """
import json, sys
def tell(**told):
    print(json.dumps(told), flush=True)
print("a library says something")
tell(event="say", text="the model")
tell(event="progress", file="w", done=5, total=10)
tell(event="progress", file="w", done=10, total=10)
"""
ENDS = {
    "finds": "tell(event='found', entries=[1])",
    "refuses": "tell(event='failed', type='model_unavailable', message='it is a FluxPipeline'); sys.exit(1)",
    "fails": "tell(event='failed', type='download', message='it broke off'); sys.exit(1)",
    "dies": "raise MemoryError('no more')",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, end in ENDS.items():
        (tmp_path / f"{name}_as_asked.py").write_text(TELL + end)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def test_it_tells_what_happens_and_ends_with_what_it_found(module: None, capsys: Out) -> None:
    assert followed("finds_as_asked", [])["entries"] == [1]
    assert capsys.readouterr().err == "the model\nfetched w\n"
    followed("finds_as_asked", [], quiet=True)
    assert capsys.readouterr().err == ""


def test_a_refusal_and_a_failure_are_told_apart(module: None) -> None:
    with pytest.raises(ConfigurationError, match="it is a FluxPipeline"):
        followed("refuses_as_asked", [])
    with pytest.raises(LodestarError, match="it broke off") as failed:
        followed("fails_as_asked", [])
    assert not isinstance(failed.value, ConfigurationError)
    with pytest.raises(LodestarError, match="it ended early: MemoryError: no more"):
        followed("dies_as_asked", [])
