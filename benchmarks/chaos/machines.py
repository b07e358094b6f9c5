"""The machines of a replicated server: one at a time is lost, and comes back after a while."""

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from redis.exceptions import RedisError

from app.stack.child import ChildSpec
from benchmarks.chaos.replicated import Layout

AWAY_S = 12.0  # long enough for the Sentinels to name another primary
PATIENCE_S = 30.0

Role = Literal["primary", "replica"]


class Machines:
    """The processes of a layout."""

    def __init__(self, place: Layout, elsewhere: tuple[str, ...] = ()) -> None:
        """Start none yet.

        Args:
            place: what to start.
            elsewhere: command that starts the first server on the other side of a network.
        """
        self.place, self._elsewhere = place, elsewhere
        self._specs: dict[int, ChildSpec] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._lost: tuple[int, float] | None = None

    def start(self) -> None:
        """Start all, and return when the replicas follow and the Sentinels know everyone."""
        self._start(dict(zip(self.place.servers, self.place.server_specs(), strict=True)))
        _await(self.place.follow)
        self._start(dict(zip(self.place.sentinels, self.place.sentinel_specs(), strict=True)))
        _await(self.place.is_complete)

    def kill(self, role: Role, chance: random.Random) -> bool:
        """SIGKILL the primary or a replica; False while another one is away or has not caught up."""
        if self._lost is not None or not self.place.is_complete():
            return False
        primary = self.place.primary()
        victims = [port for port in self.place.servers if (port == primary) == (role == "primary")]
        self.lose(chance.choice(victims))
        return True

    def lose(self, port: int) -> None:
        """SIGKILL one, which comes back after a while."""
        self._processes[port].kill()
        self._processes[port].wait()
        self._lost = port, time.monotonic()

    def tend(self) -> None:
        """Start again what has been away for long enough."""
        if self._lost is not None and time.monotonic() - self._lost[1] > AWAY_S:
            port, _ = self._lost
            self._start({port: self._specs[port]})
            self._lost = None

    def close(self) -> None:
        """End all."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, specs: dict[int, ChildSpec]) -> None:
        self._specs |= specs
        for port, spec in specs.items():
            command = (*(self._elsewhere if port == self.place.servers[0] else ()), *spec.command)
            self._processes[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)


@contextmanager
def running(place: Layout, elsewhere: tuple[str, ...] = ()) -> Iterator[Machines]:
    """The processes of a layout, as long as the block runs; see ``Machines``."""
    machines = Machines(place, elsewhere)
    try:
        machines.start()
        yield machines
    finally:
        machines.close()


def _await(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with suppress(RedisError):
            if condition():
                return
        time.sleep(0.05)
    raise TimeoutError("the replicated server is not complete")
