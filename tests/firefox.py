"""A real, headless Firefox, the system's, driven by its own Marionette protocol (geckodriver's way in)."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.stack.preflight import free_port

PATIENCE_S = 60.0
_QUIET = {  # nothing that calls home, and no question at the start
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """One window of it."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._number = 0
        self._read()  # its greeting
        self._call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})

    def open(self, url: str, width: int = 1280) -> None:
        """Load a page."""
        self._call("WebDriver:SetWindowRect", width=width, height=900)
        self._call("WebDriver:Navigate", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the page returns."""
        return self._call("WebDriver:ExecuteScript", script=script, args=list(arguments))["value"]

    def wait(self, condition: str) -> None:
        """Wait until an expression of the page is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, condition
            time.sleep(0.1)

    def press(self, text: str, selector: str) -> None:
        """Type into an element that a person can see, as keys of WebDriver."""
        found = self._call("WebDriver:FindElement", using="css selector", value=selector)["value"]
        (element,) = found.values()
        self._call("WebDriver:ElementSendKeys", id=element, text=text)

    def _call(self, name: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._read()
        assert error is None, error
        return dict(result) if isinstance(result, dict) else {"value": result}

    def _read(self) -> Any:
        length = b""
        while (character := self._stream.read(1)) != b":":
            assert character, "Firefox has gone"
            length += character
        return json.loads(self._stream.read(int(length)))


@contextmanager
def running_firefox() -> Iterator[Firefox]:
    """A browser; skips where there is none."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs Firefox, such as Debian's package firefox-esr")
    port = free_port("127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="firefox-") as folder:
        settings = {**_QUIET, "marionette.port": port}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        Path(folder, "user.js").write_text("\n".join(lines))
        command = [program, "--headless", "--no-remote", "--profile", folder, "--marionette", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with _connected(port, process) as connection:
                yield Firefox(connection)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _connected(port: int, process: "subprocess.Popen[bytes]") -> socket.socket:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        except OSError:
            assert process.poll() is None, "Firefox does not start"
            assert time.monotonic() < end, "Firefox does not listen"
            time.sleep(0.1)
