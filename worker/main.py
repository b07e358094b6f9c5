"""Builds a worker and runs it until it is stopped."""

import gc
import logging
import os
import secrets
import socket
import sys
from typing import TYPE_CHECKING

import structlog

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.db.connection import connect
from jobs.errors import ConfigurationError, QueueUnavailableError
from jobs.queue.interrupts import Interrupts
from jobs.queue.leases import Leases
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.storage.artifacts import ArtifactStore
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.pictures.writer import PictureWriter

EX_CONFIG = 78  # sysexits.h: starting again will not help
EX_UNAVAILABLE = 69  # the device is lost; it may be there again for the next process


def run(settings: WorkerSettings) -> int:
    """Run a worker; the exit status.

    Wrong settings end it with one line and status 78; a Redis that is not there now, with one line and status 1.
    """
    _configure_logging()
    try:
        catalog = load_catalog(settings.models_file)
        _check_paths(catalog)
        with connect(settings.redis_url, patient=False) as redis:
            JobQueue(redis, max_queued=0).check()
        return _serve(settings, catalog)
    except ConfigurationError as error:
        print(f"lodestar worker: {error.message}", file=sys.stderr)
        return EX_CONFIG
    except QueueUnavailableError as error:
        print(f"lodestar worker: {error.message}", file=sys.stderr)
        return 1


def _serve(settings: WorkerSettings, catalog: Catalog) -> int:
    # torch and the model libraries take seconds to import: only once the settings are known to be good. Without the
    # garbage collector it is a fifth less; later, each of its looks through all that would stop the engine for 0.3 s.
    gc.disable()
    from worker.models.device import Device
    from worker.models.loading.digests import Digests
    from worker.models.registry import ModelRegistry
    from worker.serving.consumer import Consumer
    from worker.serving.executions import Executions
    from worker.serving.watchdog import Watchdog

    gc.freeze()
    gc.enable()
    redis = connect(settings.redis_url, patient=True)
    name = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}"
    device = Device(settings)
    executions = Executions(
        ModelRegistry(catalog, device, Digests(settings.cache_dir / "digests")),
        Leases(redis, worker=name),
        WorkerRegistry(redis),
        ArtifactStore(settings.artifacts_url),
        Interrupts(redis),
        name=name,
        capacity=device.capacity,
        watchdog=Watchdog(settings.hang_timeout_s),
        writer=_writer(settings),
    )
    executions.start()
    Consumer(redis, executions, name=name).work(logging_level="WARNING")
    executions.close(settings.grace_s)
    # Or the interpreter collects garbage among all objects of the libraries before it ends, for seconds.
    gc.freeze()
    return 0 if executions.is_fit() else EX_UNAVAILABLE


def _writer(settings: WorkerSettings) -> "PictureWriter":
    from worker.pictures.safety import SafetyChecker
    from worker.pictures.writer import PictureWriter

    marked = settings.marks == "on"
    if settings.safety == "off":
        return PictureWriter(marked)
    return PictureWriter(marked, SafetyChecker(settings.safety, settings.safety_threshold))


def _check_paths(catalog: Catalog) -> None:
    for card in (*catalog.models, *catalog.clips):
        for place in card.places:
            if not place.exists():
                raise ConfigurationError(f"{card.id} is to be loaded from {place}, which does not exist")


def _configure_logging() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
