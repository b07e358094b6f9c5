"""A primary, its replicas and the Sentinels that watch them, as one would run them on several machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from app.stack.child import ChildSpec
from app.stack.embedded import find_server
from app.stack.preflight import free_port

NAME = "lodestar"
DOWN_AFTER_MS = 2000
LOCAL = "127.0.0.1"
SERVER = {
    "protected-mode": "no",  # it binds private addresses alone
    "appendonly": "yes",
    "appendfsync": "always",
    "save": '""',
    "repl-diskless-sync-delay": "0",
    "min-replicas-max-lag": "5",
}


@dataclass(frozen=True)
class Layout:
    """The ports of a replicated server.

    Attributes:
        servers: the first one begins as the primary.
        sentinels: of which most must agree that a primary is gone.
        down_after_ms: of silence, after which a Sentinel thinks so.
        min_replicas: that must follow a primary, or it refuses to write: one that was cut off then accepts nothing that
            the next one will not know of.
        host: address of all, but for the first server.
        first_host: of that one, which may be on the other side of a network.
    """

    folder: Path
    servers: tuple[int, ...]
    sentinels: tuple[int, ...]
    down_after_ms: int = DOWN_AFTER_MS
    min_replicas: int = 0
    host: str = LOCAL
    first_host: str = LOCAL

    @property
    def url(self) -> str:
        """The address that the service is given."""
        hosts = ",".join(f"{self.host}:{port}" for port in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    def server_specs(self) -> list[ChildSpec]:
        """The servers' processes. Their files are written here, since Sentinels have them rewritten."""
        first, *rest = self.servers
        following = [self._server(port, {"replicaof": f"{self.first_host} {first}"}) for port in rest]
        return [self._server(first, {}), *following]

    def sentinel_specs(self) -> list[ChildSpec]:
        """The Sentinels' processes, to be started once the replicas follow: they look for others every ten seconds."""
        return [self._sentinel(port) for port in self.sentinels]

    def follow(self) -> bool:
        """Whether every replica follows the first server."""
        with Redis(self.first_host, self.servers[0], socket_timeout=0.5) as first:
            told = first.info("replication")
        states = [told.get(f"slave{number}", {}).get("state") for number in range(len(self.servers) - 1)]
        return all(state == "online" for state in states)

    def primary(self) -> int:
        """Port of the primary, as the first Sentinel sees it."""
        with Redis(self.host, self.sentinels[0], socket_timeout=0.5) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(NAME)[1])

    def is_complete(self) -> bool:
        """Whether every replica follows the primary, and every Sentinel knows of the others and of the replicas."""
        with Redis(self._host_of(self.primary()), self.primary(), socket_timeout=0.5) as primary:
            following = primary.info("replication")["connected_slaves"]
        states = []
        for port in self.sentinels:
            with Redis(self.host, port, socket_timeout=0.5) as sentinel:
                states.append(sentinel.sentinel_master(NAME))
        return following == len(self.servers) - 1 and all(
            state["num-slaves"] == len(self.servers) - 1
            and state["num-other-sentinels"] == len(self.sentinels) - 1
            for state in states
        )

    def _host_of(self, port: int) -> str:
        return self.first_host if port == self.servers[0] else self.host

    def _server(self, port: int, more: Mapping[str, str]) -> ChildSpec:
        return self._program(
            f"valkey-{port}",
            {
                "port": str(port),
                "bind": self._host_of(port),
                "min-replicas-to-write": str(self.min_replicas),
                **SERVER,
                **more,
            },
        )

    def _sentinel(self, port: int) -> ChildSpec:
        watched = f"{NAME} {self.first_host} {self.servers[0]} {len(self.sentinels) // 2 + 1}"
        options = {
            "port": str(port),
            "bind": self.host,
            "protected-mode": "no",
            "sentinel monitor": watched,
            f"sentinel down-after-milliseconds {NAME}": str(self.down_after_ms),
            f"sentinel failover-timeout {NAME}": "6000",
        }
        return self._program(f"sentinel-{port}", options, "--sentinel")

    def _program(self, name: str, options: Mapping[str, str], *more: str) -> ChildSpec:
        place = self.folder / name
        place.mkdir(parents=True)
        lines = [f"{key} {value}" for key, value in {**options, "dir": f'"{place}"'}.items()]
        file = place / "server.conf"
        file.write_text("\n".join(lines) + "\n")
        return ChildSpec(name, (str(find_server()), str(file), *more), grace_s=2.0, last=True)


def layout(
    folder: Path, *, replicas: int, sentinels: int, down_after_ms: int = DOWN_AFTER_MS, min_replicas: int = 0
) -> Layout:
    """A layout on free ports."""
    ports: list[int] = []
    while len(ports) < 1 + replicas + sentinels:
        port = free_port("127.0.0.1")
        if port not in ports:
            ports.append(port)
    servers, rest = ports[: 1 + replicas], ports[1 + replicas :]
    return Layout(folder, tuple(servers), tuple(rest), down_after_ms, min_replicas)
