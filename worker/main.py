"""Builds a worker and runs it until it is stopped."""

import gc
import logging
import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.db.connection import connect
from jobs.errors import ConfigurationError, QueueUnavailableError, UnknownModelError
from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.telemetry import tracing
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from redis import Redis

    from worker.pictures.writer import PictureWriter
    from worker.serving.executions import Executions
    from worker.telemetry.telemetry import Telemetry

EX_CONFIG = 78  # sysexits.h: starting again will not help
LOG_LINES = 20  # that go with a heartbeat
LINE_CHARS = 1000  # of each: a traceback is one line, whose both ends tell most
EX_UNAVAILABLE = 69  # the device is lost; it may be there again for the next process


def run(settings: WorkerSettings) -> int:
    """Run a worker; the exit status.

    Wrong settings end it with one line and status 78; a Redis that is not there now, with one line and status 1.
    """
    said = deque[str](maxlen=LOG_LINES)
    _configure_logging(said)
    try:
        catalog = CatalogFile(settings.models_file, partial(_check, settings))
        with connect(settings.redis_url, patient=False) as redis:
            JobQueue(redis, max_queued=0).check()
        return _serve(settings, catalog, said)
    except ConfigurationError as error:
        print(f"lodestar worker: {error.message}", file=sys.stderr)
        return EX_CONFIG
    except QueueUnavailableError as error:
        print(f"lodestar worker: {error.message}", file=sys.stderr)
        return 1


def _serve(settings: WorkerSettings, catalog: CatalogFile, said: deque[str]) -> int:
    # torch and the model libraries take seconds to import: only once the settings are known to be good. Without the
    # garbage collector it is a fifth less; later, each of its looks through all that would stop the engine for 0.3 s.
    gc.disable()
    from worker.models.device import Device
    from worker.models.loading.digests import Digests
    from worker.models.registry import ModelRegistry
    from worker.serving.executions import Executions
    from worker.serving.heartbeat import Member
    from worker.serving.watchdog import Watchdog
    from worker.telemetry.store import TimedStore
    from worker.telemetry.telemetry import Telemetry
    from worker.telemetry.traces import ExecutionTraces

    gc.freeze()
    gc.enable()
    redis = connect(settings.redis_url, patient=True)
    name = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}"
    served, clips = _served(settings, catalog.now()), [clip.id for clip in catalog.now().clips]
    device, telemetry = Device(settings), Telemetry(traces=ExecutionTraces(name))
    digests = Digests(settings.cache_dir / "digests")
    executions = Executions(
        ModelRegistry(catalog, device, digests, telemetry.metrics.note_load),
        Leases(redis, worker=name, serves=served and (*served, *clips)),
        WorkerRegistry(redis, log=lambda: tuple(said)),
        TimedStore(settings.artifacts_url, telemetry),
        Interrupts(redis),
        name=name,
        capacity=device.capacity,
        member=Member(settings.pool, served),
        telemetry=telemetry,
        watchdog=Watchdog(settings.hang_timeout_s),
        writer=_writer(settings),
    )
    with _status(settings, executions, telemetry), tracing("lodestar-worker"):
        _work(settings, executions, redis, name)
    # Or the interpreter collects garbage among all objects of the libraries before it ends, for seconds.
    gc.freeze()
    return 0 if executions.is_fit() else EX_UNAVAILABLE


def _work(settings: WorkerSettings, executions: "Executions", redis: "Redis", name: str) -> None:
    from worker.serving.consumer import Consumer

    executions.start()
    Consumer(redis, executions, name=name).work(logging_level="WARNING")
    executions.close(settings.grace_s)


@contextmanager
def _status(settings: WorkerSettings, executions: "Executions", telemetry: "Telemetry") -> Iterator[None]:
    """Answer probes and scrapes meanwhile, if the worker has a port for them."""
    if settings.metrics_port is None:
        yield
        return
    from worker.telemetry.server import StatusServer

    server = StatusServer(
        settings.metrics_host,
        settings.metrics_port,
        exposition=telemetry.metrics.exposition,
        is_fit=executions.is_fit,
        is_ready=executions.is_ready,
    )
    structlog.get_logger(__name__).info("metrics", host=settings.metrics_host, port=server.port)
    server.start()
    try:
        yield
    finally:
        server.close()


def _writer(settings: WorkerSettings) -> "PictureWriter":
    from worker.pictures.safety import SafetyChecker
    from worker.pictures.writer import PictureWriter

    marked = settings.marks == "on"
    if settings.safety == "off":
        return PictureWriter(marked)
    return PictureWriter(marked, SafetyChecker(settings.safety, settings.safety_threshold))


def _served(settings: WorkerSettings, catalog: Catalog) -> tuple[str, ...]:
    """The ids of the models whose jobs the worker takes; empty for all.

    Raises:
        ConfigurationError: the catalog lacks one of them.
    """
    try:
        return tuple(catalog.model(name).id for name in settings.serve_models)
    except UnknownModelError as error:
        raise ConfigurationError(f"LODESTAR_SERVE_MODELS: {error.message}", field="serve_models") from error


def _check(settings: WorkerSettings, catalog: Catalog) -> None:
    served = _served(settings, catalog)
    models = [card for card in catalog.models if not served or card.id in served]
    for card in (*models, *catalog.clips):
        for place in card.places:
            if not place.exists():
                raise ConfigurationError(f"{card.id} is to be loaded from {place}, which does not exist")


def _configure_logging(said: deque[str]) -> None:
    """Log to stderr, and keep the last lines in ``said``, for those who see the worker from afar."""

    def keep(_logger: object, _method: str, line: str) -> str:
        said.append(
            line if len(line) <= LINE_CHARS else f"{line[: LINE_CHARS // 2]} ... {line[-LINE_CHARS // 2 :]}"
        )
        return line

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            keep,  # type: ignore[list-item]  # the line, after the renderer
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
