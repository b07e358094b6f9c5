"""The operator's settings, and those that are refused at the start."""

import pytest
from pydantic import ValidationError

from app.api.settings import ApiSettings


def test_lists_have_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LODESTAR_ALLOWED_HOSTS", "images.example.com, *.lan,api")
    monkeypatch.setenv("LODESTAR_CORS_ORIGINS", "https://App.example.com/, http://localhost:5173")
    settings = ApiSettings()
    assert settings.allowed_hosts == ("images.example.com", "*.lan", "api")
    assert settings.cors_origins == ("https://app.example.com", "http://localhost:5173")


@pytest.mark.parametrize(
    "host", ["https://images.example.com", "a/b", "a:8000", "*.*.lan", "a b", "ex*mple.com"]
)
def test_a_host_is_a_name(host: str) -> None:
    with pytest.raises(ValidationError, match="no host name"):
        ApiSettings(allowed_hosts=(host,))


@pytest.mark.parametrize(
    "origin", ["app.example.com", "https://a.example/path", "null", "https://", "https://a b"]
)
def test_an_origin_is_scheme_and_host(origin: str) -> None:
    with pytest.raises(ValidationError, match="no origin"):
        ApiSettings(cors_origins=(origin,))


@pytest.mark.parametrize(("given", "prefix"), [("", ""), ("/", ""), ("/sd", "/sd"), ("/a/b/", "/a/b")])
def test_a_prefix_is_a_path(given: str, prefix: str) -> None:
    assert ApiSettings(root_path=given).root_path == prefix


@pytest.mark.parametrize("given", ["sd", "//evil.example", "http://a/b", "/a b", "/..", '/"'])
def test_nothing_else_is_a_prefix(given: str) -> None:
    with pytest.raises(ValidationError, match="must be a path"):
        ApiSettings(root_path=given)


@pytest.mark.parametrize("name", ["LODESTAR_FORWARDED_ALLOW_IPS", "FORWARDED_ALLOW_IPS"])
def test_proxies_are_named_by_either_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert ApiSettings().forwarded_allow_ips == "127.0.0.1,::1"
    monkeypatch.setenv(name, "10.0.0.0/8")
    assert ApiSettings().forwarded_allow_ips == "10.0.0.0/8"
    assert ApiSettings(forwarded_allow_ips="*").forwarded_allow_ips == "*"
