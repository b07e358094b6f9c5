"""What the routes work with, made once for each app from its settings."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from redis import Redis

from app.metrics import Metrics
from app.search_index import SearchIndex
from app.settings import ApiSettings
from jobs.artifacts import ArtifactStore
from jobs.catalog import Catalog, load_catalog
from jobs.connection import connect
from jobs.embeddings import EmbeddingLibrary
from jobs.queue import JobQueue
from jobs.segments import Segments
from jobs.workers import WorkerRegistry


@dataclass(frozen=True)
class Services:
    """The parts behind the routes. Making them opens no connection."""

    settings: ApiSettings
    catalog: Catalog
    catalog_read_at: datetime
    redis: Redis
    queue: JobQueue
    workers: WorkerRegistry
    artifacts: ArtifactStore
    library: EmbeddingLibrary
    search: SearchIndex
    queries: OrderedDict[str, list[float]]
    """Where the latest texts that were searched for lie."""
    metrics: Metrics
    stopping: asyncio.Event
    """Set when the server is about to stop: nobody should wait for anything long any more."""


def build_services(settings: ApiSettings) -> Services:
    """Make every part.

    Raises:
        ConfigurationError: the model catalog is missing or wrong, or a URL is.
    """
    redis = connect(settings.redis_url, patient=False)
    queue = JobQueue(redis, max_queued=settings.max_queued)
    workers = WorkerRegistry(redis)
    catalog, artifacts = load_catalog(settings.models_file), ArtifactStore(settings.artifacts_url)
    return Services(
        settings=settings,
        catalog=catalog,
        catalog_read_at=datetime.now(UTC),
        redis=redis,
        queue=queue,
        workers=workers,
        artifacts=artifacts,
        library=EmbeddingLibrary(artifacts),
        search=SearchIndex(Segments(artifacts, catalog.critic.id)),
        queries=OrderedDict(),
        metrics=Metrics(queue, workers),
        stopping=asyncio.Event(),
    )


def services_of(request: Request) -> Services:
    """The services of the app that serves a request."""
    services: Services = request.app.state.services
    return services


def _catalog(request: Request) -> Catalog:
    return services_of(request).catalog


def _queue(request: Request) -> JobQueue:
    return services_of(request).queue


def _workers(request: Request) -> WorkerRegistry:
    return services_of(request).workers


def _artifacts(request: Request) -> ArtifactStore:
    return services_of(request).artifacts


def _library(request: Request) -> EmbeddingLibrary:
    return services_of(request).library


TheServices = Annotated[Services, Depends(services_of)]
TheCatalog = Annotated[Catalog, Depends(_catalog)]
TheQueue = Annotated[JobQueue, Depends(_queue)]
TheWorkers = Annotated[WorkerRegistry, Depends(_workers)]
TheLibrary = Annotated[EmbeddingLibrary, Depends(_library)]
TheArtifacts = Annotated[ArtifactStore, Depends(_artifacts)]
