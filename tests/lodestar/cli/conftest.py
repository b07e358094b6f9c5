"""What a shell is offered."""

from collections.abc import Callable

import pytest

from app.cli.main import cli

Completed = Callable[..., list[str]]


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Completed:
    """What bash is offered for the last word of a command line."""

    def offered(*words: str) -> list[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setenv("_LODESTAR_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", " ".join(("lodestar", *words)))
            patch.setenv("COMP_CWORD", str(len(words)))
            with pytest.raises(SystemExit):
                cli(prog_name="lodestar")
        return capsys.readouterr().out.split()

    return offered
