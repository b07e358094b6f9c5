"""One supervised process, over all its restarts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.stack.child_log import ChildLog
from jobs.errors import LodestarError

EX_CONFIG = 78  # exit code of our processes for a wrong setting: a restart cannot help
STABLE_S = 20.0  # a child that lives longer has started well
FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 10.0
LAST_LINES = 20  # of the log of a process that died

_LAUNCHER = Path(__file__).with_name("launch.py")


class ChildFailedError(LodestarError):
    """A process of the service does not start."""

    type = "child_failed"


@dataclass(frozen=True)
class ChildSpec:
    """How to run one child.

    Attributes:
        name: for people, and of its log file.
        command: the program and its arguments.
        env: variables set on top of our own.
        grace_s: how long it may take to end after SIGTERM.
        last: whether it ends after the others, who still need it then.
        inherited: open files that it keeps open, by descriptor.
        orphaned: the signal it gets when its supervisor was killed (on Linux).
        umask: for the files that it makes; ours if negative.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 7.0
    last: bool = False
    inherited: tuple[int, ...] = ()
    orphaned: signal.Signals = signal.SIGTERM
    umask: int = -1


@dataclass(frozen=True)
class Death:
    """How a process of a child ended by itself.

    Attributes:
        pid: of the process.
        ending: in words, such as ``was killed by SIGKILL``.
        said: the end of its log.
    """

    pid: int
    ending: str
    said: tuple[str, ...]


class Child:
    """Starts, restarts and ends the process of one spec."""

    def __init__(self, spec: ChildSpec, log: ChildLog) -> None:
        self.spec = spec
        self.log = log
        self.deaths = 0
        self.last_death: Death | None = None
        self._early_deaths = 0  # in a row
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._restart_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id; None between a death and the restart."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Run it in a session of its own, so that Ctrl-C in the terminal reaches only the supervisor.

        Raises:
            OSError: the machine has no room for it now.
        """
        with self.log.open() as log:
            self._process = subprocess.Popen(
                _tied_to_us(self.spec),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.spec.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.spec.inherited,
                umask=self.spec.umask,
            )
        self._started = time.monotonic()

    def look(self) -> str | None:
        """Restart it when that is due; if it has just died, the reason in words.

        Raises:
            ChildFailedError: its exit code reports a wrong configuration. The next look is as after any other death.
        """
        if self._process is None:
            return self._restart() if time.monotonic() >= self._restart_at else None
        code = self._process.poll()
        return None if code is None else self._died(code)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def has_ended(self) -> bool:
        """Whether there is no process now."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End it, and whatever it started, at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # PermissionError is how macOS says the same
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _restart(self) -> str | None:
        try:
            self.start()
        except OSError as error:
            self._count_death(early=True)
            return f"{self.spec.name} cannot be started now: {error}; trying again"
        return None

    def _died(self, code: int) -> str:
        pid = self.pid or 0
        self.kill()
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        self.last_death = Death(pid, how, tuple(self.log.tail(LAST_LINES)))
        self._count_death(early=time.monotonic() - self._started < STABLE_S)
        if code == EX_CONFIG:
            said = self.log.tail(1) or [f"{self.spec.name} refuses its configuration and does not say why"]
            raise ChildFailedError(said[0])
        return f"{self.spec.name} {how}; starting it again"

    def _count_death(self, *, early: bool) -> None:
        self.deaths += 1
        self._early_deaths = self._early_deaths + 1 if early else 1
        self._restart_at = time.monotonic() + backoff_s(self._early_deaths)


def backoff_s(early_deaths: int) -> float:
    """Seconds before the next start after so many early deaths in a row, from 1: twice as long each time, up to ten."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(early_deaths - 1, 32))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"


def _tied_to_us(spec: ChildSpec) -> tuple[str, ...]:
    if sys.platform != "linux":
        return spec.command
    return (
        sys.executable,
        "-I",
        "-S",
        str(_LAUNCHER),
        str(os.getpid()),
        str(int(spec.orphaned)),
        *spec.command,
    )
