"""The services of the routes, made once for each app from its settings."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from app.api.addresses import AddressPolicy
from app.api.operation.metrics import Metrics
from app.api.operation.wakeups import Wakeups
from app.api.pictures.decoder import Decoder
from app.api.pictures.fetching import PictureFetcher
from app.api.search_index import SearchIndex
from app.api.settings import ApiSettings
from jobs.catalog.catalog import Catalog, load_catalog
from jobs.db.connection import connect, connect_async
from jobs.events.event_log import EventLog
from jobs.events.webhooks import WebhookQueue
from jobs.queue.queue import JobQueue
from jobs.queue.workers import WorkerRegistry
from jobs.resolve.limits import Limits
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.job_files import JobFiles
from jobs.storage.segments import Segments
from jobs.storage.uploads import UploadLibrary

ASYNC_CONNECTIONS = 10  # shared by all readers of events; one of them waits for what happens


@dataclass(frozen=True)
class Services:
    """The services of the routes. Making them opens no connection."""

    settings: ApiSettings
    catalog: Catalog
    catalog_read_at: datetime
    redis: Redis
    async_redis: AsyncRedis
    queue: JobQueue
    workers: WorkerRegistry
    artifacts: ArtifactStore
    files: JobFiles
    decoder: Decoder
    events: EventLog
    wakeups: Wakeups
    embeddings: EmbeddingLibrary
    uploads: UploadLibrary
    search: SearchIndex
    queries: OrderedDict[str, list[float]]
    """Embeddings of the latest texts that were searched for."""
    metrics: Metrics
    webhooks: WebhookQueue
    addresses: AddressPolicy
    fetcher: PictureFetcher | None
    """None unless the operator allows addresses of pictures."""
    stopping: asyncio.Event
    """Set when the server is about to stop, so that long waits end."""

    @property
    def limits(self) -> Limits:
        """The limits of one job."""
        return Limits(self.settings.max_cost, self.settings.max_timeout_s)

    def webhook_secrets(self) -> list[str]:
        """The secrets that sign webhook messages, the newest first.

        Raises:
            QueueUnavailableError: none is set, and Redis is away.
        """
        given = self.settings.webhook_secret
        chosen = given.get_secret_value().split() if given else []
        return chosen or [self.webhooks.own_secret()]


def build_services(settings: ApiSettings) -> Services:
    """Make every service.

    Raises:
        ConfigurationError: the model catalog is missing or wrong, or a URL is.
    """
    redis = connect(settings.redis_url, patient=False)
    async_redis = connect_async(settings.redis_url, max_connections=ASYNC_CONNECTIONS)
    queue = _queue(settings, redis)
    workers = WorkerRegistry(redis)
    webhooks = WebhookQueue(redis)
    catalog, artifacts = load_catalog(settings.models_file), ArtifactStore(settings.artifacts_url)
    policy = AddressPolicy(settings.webhook_networks)
    segments = Segments(artifacts, catalog.aesthetic_scorer.id)
    return Services(
        settings=settings,
        catalog=catalog,
        catalog_read_at=datetime.now(UTC),
        redis=redis,
        async_redis=async_redis,
        queue=queue,
        workers=workers,
        artifacts=artifacts,
        files=JobFiles(artifacts, beside=[segments.root]),
        decoder=Decoder(),
        events=EventLog(async_redis),
        wakeups=Wakeups(),
        embeddings=EmbeddingLibrary(artifacts),
        uploads=_uploads(settings, redis, artifacts),
        search=SearchIndex(segments),
        queries=OrderedDict(),
        metrics=Metrics(queue, workers, webhooks),
        webhooks=webhooks,
        addresses=policy,
        fetcher=PictureFetcher(policy) if settings.allow_picture_urls else None,
        stopping=asyncio.Event(),
    )


def _queue(settings: ApiSettings, redis: Redis) -> JobQueue:
    return JobQueue(
        redis,
        max_queued=settings.max_queued,
        max_kept_bytes=settings.max_kept_bytes,
        max_kept_file_bytes=settings.max_kept_file_bytes,
    )


def _uploads(settings: ApiSettings, redis: Redis, artifacts: ArtifactStore) -> UploadLibrary:
    keep_s, max_bytes = settings.upload_retention_s, settings.max_uploads_kept_bytes
    return UploadLibrary(redis, artifacts, keep_s=keep_s, max_bytes=max_bytes)


def services_of(request: Request) -> Services:
    """The services of the app that serves a request."""
    services: Services = request.app.state.services
    return services


TheServices = Annotated[Services, Depends(services_of)]
