"""The layers that every request passes between the server and its route."""

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware

from app.api.access.body_limit import BodyLimit
from app.api.access.host_guard import HostGuard
from app.api.access.security_headers import SecurityHeaders
from app.api.access.site_guard import SiteGuard
from app.api.operation.metrics import Metrics
from app.api.operation.tracing import TraceLayer
from app.api.proxies import ProxyLayer
from app.api.server.access_log import AccessLayer
from app.api.server.faults import FaultLayer
from app.api.server.head import HeadLayer
from app.api.settings import ApiSettings
from jobs import telemetry

COMPRESSED_FROM_BYTES = 8_000  # one job is less: its answer should cost no compression
# Headers of an answer that a script of another site may read, besides those that every script may.
_EXPOSED = (
    "Content-Disposition",
    "Content-Location",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
    "X-Should-Retry",
)


def install(
    app: FastAPI,
    settings: ApiSettings,
    metrics: Metrics,
    *,
    upload_paths: tuple[str, ...],
    raw_upload_paths: tuple[str, ...],
) -> None:
    """Put the layers around an app.

    Args:
        app: the API.
        settings: of the operator.
        metrics: where request times go.
        upload_paths: where forms with files are taken.
        raw_upload_paths: where pictures are taken as the body.
    """
    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        upload_paths=upload_paths,
        raw_upload_paths=raw_upload_paths,
    )
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=6)
    app.add_middleware(HeadLayer)
    app.add_middleware(SiteGuard, origins=settings.cors_origins)
    app.add_middleware(FaultLayer)
    if settings.cors_origins:
        _let_in(app, settings.cors_origins)
    app.add_middleware(HostGuard, allowed=(settings.host, *settings.allowed_hosts))
    app.add_middleware(AccessLayer, metrics=metrics)
    if telemetry.is_on():
        app.add_middleware(TraceLayer)
    app.add_middleware(ProxyLayer, root_path=settings.root_path, trusted=settings.forwarded_allow_ips)
    app.add_middleware(SecurityHeaders)


def _let_in(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let scripts of other sites read the answers."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "DELETE"),
        allow_headers=("*",),
        allow_private_network=True,  # a site that the operator has named may reach his machine
        expose_headers=_EXPOSED,
    )
