"""Who may call is decided at the start."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.api.auth_mode import auth_mode, is_loopback
from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError
from tests.app.conftest import Run


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST."])
def test_on_loopback_no_key_is_asked_for(host: str) -> None:
    assert is_loopback(host)
    assert auth_mode(ApiSettings(host=host)) == "none"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "images.lan", "localhost.example.com"])
def test_elsewhere_somebody_must_say_who_may_call(host: str) -> None:
    with pytest.raises(ConfigurationError, match="LODESTAR_AUTH"):
        auth_mode(ApiSettings(host=host))
    for mode in ("none", "keys", "proxy"):
        assert auth_mode(ApiSettings(host=host, auth=mode)) == mode


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_keys_file_asks_for_keys(host: str) -> None:
    assert auth_mode(ApiSettings(host=host, keys_file=Path("keys.toml"))) == "keys"


def test_no_other_word_is_a_mode() -> None:
    with pytest.raises(ValidationError):
        ApiSettings.model_validate({"auth": "off"})


@pytest.mark.parametrize("command", ["serve", "up"])
def test_an_open_address_is_refused_in_one_line(
    run: Run,
    models_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setenv("LODESTAR_MODELS_FILE", str(models_file))
    assert run(command, "--host", "0.0.0.0", "--port", "0") == 78
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "others can reach 0.0.0.0" in said


def test_a_wrong_keys_file_is_refused_in_one_line(
    run: Run, models_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LODESTAR_MODELS_FILE", str(models_file))
    monkeypatch.setenv("LODESTAR_KEYS_FILE", "nowhere.toml")
    assert run("serve", "--port", "0") == 78
    assert "nowhere.toml" in capsys.readouterr().err
