"""The address of a server, and how both clients connect to it."""

import os
from typing import Any

DEFAULT_URL = "http://127.0.0.1:8000"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


def address(url: str | None) -> str:
    """The address given, else ``LODESTAR_URL``, else that of this machine."""
    return (url or os.environ.get("LODESTAR_URL") or DEFAULT_URL).rstrip("/")


def http_options(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """The options of httpx; the key is ``LODESTAR_KEY`` if None is given."""
    import httpx  # here, since the command line needs only the address

    key = key or os.environ.get("LODESTAR_KEY")
    return {
        "base_url": url,
        "timeout": timeout_s,
        # A proxy from the environment is meant for other machines.
        "trust_env": httpx.URL(url).host not in _LOCAL,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
    }
