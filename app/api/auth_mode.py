"""Who may call: everyone, holders of keys, or users of a proxy that logs them in."""

from ipaddress import ip_address
from typing import Literal

from app.api.settings import ApiSettings
from jobs.errors import ConfigurationError

AuthMode = Literal["none", "keys", "proxy"]


def auth_mode(settings: ApiSettings) -> AuthMode:
    """The mode that the settings ask for; by default ``keys`` with a keys file, and ``none`` on loopback.

    Raises:
        ConfigurationError: others can reach the address, and nothing says who may call.
    """
    if settings.auth != "auto":
        return settings.auth
    if settings.keys_file is not None:
        return "keys"
    if is_loopback(settings.host):
        return "none"
    raise ConfigurationError(
        f"others can reach {settings.host or 'every address'}, and nothing says who may call: set LODESTAR_AUTH to "
        "keys (then: lodestar keys create), to proxy if a proxy in front logs users in, or to none to let everyone in",
        field="auth",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listening address."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
