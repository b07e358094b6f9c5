"""The composition of the API, and the process that serves it."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api import openapi
from app.api.dialects import envelopes
from app.api.dialects.a1111 import listings as a1111_listings
from app.api.dialects.a1111 import routes as a1111
from app.api.dialects.a1111 import upkeep as a1111_upkeep
from app.api.dialects.a1111.controlnet import routes as a1111_controlnet
from app.api.dialects.a1111.extras import routes as a1111_extras
from app.api.dialects.openai import routes as openai
from app.api.dialects.replicate import files as replicate_files
from app.api.dialects.replicate import listings as replicate_listings
from app.api.dialects.replicate import routes as replicate
from app.api.intake.moderation import moderator_of
from app.api.operation.logs import configure_logs
from app.api.pages import dashboard, files, login, reference
from app.api.problems import handlers as errors
from app.api.routes import (
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
    uploads,
    webhooks,
    workers,
)
from app.api.routes import errors as error_pages
from app.api.routes.accounts import quote, usage
from app.api.routes.admin import audit, keys, tenants, whoami
from app.api.routes.bulk import archives, bulk, listing, priorities
from app.api.routes.controls import maps
from app.api.routes.fleet import pools
from app.api.routes.links import signed_images
from app.api.routes.nights import nights
from app.api.server import layers
from app.api.server.descriptors import connections_within, raise_limit
from app.api.server.listener import address_of, listening, reason_of, url_of
from app.api.server.server import Server, configured
from app.api.server.slashes import SlashRedirect
from app.api.services import Services, build_services
from app.api.settings import ApiSettings
from app.api.upkeep import background_of
from jobs.errors import ConfigurationError
from jobs.nights.nights import Nights
from jobs.status import links

CANCEL_AGAIN_S = 0.5
NOUNS = (
    *(bulk, listing, priorities),  # before the routes of one job, whose id could be such a word
    jobs,
    events,
    archives,
    images,
    maps,
    signed_images,
    nights,
    models,
    embeddings,
    scores,
    search,
    uploads,
    workers,
    pools,
    queue,
    webhooks,
    quote,
    usage,
    keys,
    audit,
    tenants,
    whoami,
    health,
    metrics,
    error_pages,
    login,
    dashboard,
    reference,
    a1111,
    a1111_controlnet,
    a1111_extras,
    a1111_listings,
    a1111_upkeep,
    replicate,
    replicate_files,
    replicate_listings,
    openai,  # the last takes all else under /v1/models
)
UPLOADING = (embeddings, scores, search, uploads, replicate_files)

log = structlog.get_logger(__name__)


def create_app(settings: ApiSettings) -> FastAPI:
    """The whole API. Opens no connection: Redis may come later, and /readyz reports it.

    Raises:
        ConfigurationError: as for ``build_services``, or the prefix is a path of our own.
    """
    services = build_services(settings)
    app = FastAPI(
        title=openapi.TITLE,
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=_lifespan,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.services = services
    app.state.moderator = moderator_of(settings)
    app.state.nights = Nights(services.redis)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    errors.install(app, envelopes.DIALECTS, envelopes.ADDITIONS)
    layers.install(
        app,
        settings,
        services.metrics,
        upload_paths=(f"{images.router.prefix}/images", *(noun.router.prefix for noun in UPLOADING)),
        raw_upload_paths=(uploads.router.prefix,),
    )
    # The routes as they are: an included router is analysed again, which takes the first request ten times as long.
    for router in (replicate_listings.own_router, *(noun.router for noun in NOUNS)):
        app.router.routes.extend(router.routes)
    app.mount("/dashboard", files.compressed(dashboard.DashboardFiles()))
    app.mount("/reference", files.compressed(reference.ReferenceFiles()))
    app.router.default = SlashRedirect(app.router)
    _require_unambiguous(settings.root_path, app)
    return app


def serve(settings: ApiSettings) -> None:
    """Serve the API until SIGINT or SIGTERM; open requests have ``stop_timeout_s`` to end.

    Raises:
        ConfigurationError: the port is taken, the address is not this host's, or as for ``create_app``.
    """
    with _listening(settings.host, settings.port) as sockets:
        app = create_app(settings)
        configure_logs(settings.log_format, settings.log_level)
        log.info("serving", url=url_of(settings.host, sockets[0].getsockname()[1]) + settings.root_path)
        config = configured(app, keep_alive_s=settings.keep_alive_s, stop_timeout_s=settings.stop_timeout_s)
        most = connections_within(raise_limit())
        app.openapi()  # half a second, which the first to read it would hold up every other request for
        gc.freeze()  # to look for garbage among all modules and routes would hold every request up for 0.1 s
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has stopped
            Server(config, app.state.services.stopping, most_connections=most).run(sockets=sockets)


@contextmanager
def _listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        try:
            sockets = stack.enter_context(listening(host, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {address_of(host, port)}: {reason_of(error)}", field="port"
            ) from error
        yield sockets


def _require_unambiguous(prefix: str, app: FastAPI) -> None:
    """Refuse a prefix that is the beginning of a path of our own: such a path would be ambiguous."""
    own = {route.path for noun in NOUNS for route in noun.router.routes}
    own |= {getattr(route, "path", "") for route in app.routes}
    if prefix and any(f"{path}/".startswith(f"{prefix}/") for path in own):
        raise ConfigurationError(
            f"the service has paths of its own under {prefix}; choose another prefix", field="root_path"
        )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    background = await background_of(services)
    with links.placed_under(services.settings.root_path):  # what is told behind no request
        tasks = [asyncio.create_task(work) for work in background]
    yield
    await _end(tasks)
    services.decoder.close()
    if app.state.moderator is not None:
        await app.state.moderator.close()
    await run_in_threadpool(services.auditor.close)
    if services.fetcher is not None:
        await services.fetcher.close()
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
