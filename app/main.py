"""The composition of the API, and the process that serves it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from app import errors, openapi
from app.access import AccessLayer
from app.body_limit import BodyLimit
from app.compat import envelopes
from app.compat.a1111 import listings as a1111_listings
from app.compat.a1111 import routes as a1111
from app.compat.openai import routes as openai
from app.compat.replicate import routes as replicate
from app.logs import configure_logs
from app.routes import (
    dashboard,
    embeddings,
    events,
    health,
    images,
    jobs,
    metrics,
    models,
    queue,
    scores,
    search,
    webhooks,
    workers,
)
from app.routes import errors as error_pages
from app.services import Services, build_services
from app.settings import ApiSettings
from app.sweeper import expire_forever, sweep_forever
from app.wakeups import wake_readers
from app.webhooks.background import deliver_webhooks
from jobs.errors import ConfigurationError
from jobs.reaper import Reaper
from jobs.retention import Retention

CANCEL_AGAIN_S = 0.5
COMPRESSED_FROM_BYTES = 8_000  # one job is less: its answer should cost no compression

log = structlog.get_logger(__name__)


def create_app(settings: ApiSettings) -> FastAPI:
    """The whole API. Opens no connection: Redis may be away now and come later, and /readyz tells.

    Raises:
        ConfigurationError: the model catalog is missing or wrong, or a URL is.
    """
    services = build_services(settings)
    app = FastAPI(
        title=openapi.TITLE,
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    errors.install(app, envelopes.DIALECTS)
    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        upload_paths=tuple(noun.router.prefix for noun in (embeddings, scores, search)),
    )
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=5)
    app.add_middleware(AccessLayer, metrics=services.metrics)
    for noun in (
        jobs,
        events,
        images,
        models,
        embeddings,
        scores,
        search,
        workers,
        queue,
        webhooks,
        health,
        metrics,
        error_pages,
        dashboard,
    ):
        app.include_router(noun.router)
    for dialect in (a1111, a1111_listings, replicate, openai):  # the last takes all else under /v1/models
        app.include_router(dialect.router)
    app.mount("/dashboard", dashboard.DashboardFiles())
    return app


def serve(settings: ApiSettings) -> None:
    """Serve the API until SIGINT or SIGTERM; open requests are given ``stop_timeout_s`` to end.

    Raises:
        ConfigurationError: the port is taken, the address is not this host's, or as for ``create_app``.
    """
    with _listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        configure_logs(settings.log_format, settings.log_level)
        log.info("serving", url=f"http://{_url_host(settings.host)}:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",  # start, stop and every request have a line of ours
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.stop_timeout_s,
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has stopped
            _Server(config, app.state.services.stopping).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells the requests that wait for a job to answer, before it waits for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"cannot listen on {_url_host(host)}:{port}: {reason}", field="port"
        ) from error


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    retention = Retention(
        services.redis,
        services.artifacts,
        keep_s=services.settings.retention_s,
        beside=[services.search.root],
    )
    background = (
        sweep_forever(Reaper(services.redis)),
        expire_forever(retention),
        wake_readers(services.async_redis, services.wakeups),
        _wake_at_stop(services),
        deliver_webhooks(services),
    )
    tasks = [asyncio.create_task(work) for work in background]
    yield
    await _end(tasks)
    await services.async_redis.aclose()
    services.redis.close()
    log.info("stopped")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: redis-py waits with wait_for, which can swallow a cancel on Python 3.11."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def _wake_at_stop(services: Services) -> None:
    """Let the streams of events end, which would hold the server's stop otherwise."""
    await services.stopping.wait()
    services.wakeups.wake_all()
