"""The services of the routes, made once for each app from its settings."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends, Request
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from app.api.addresses import AddressPolicy
from app.api.auth_mode import AuthMode, auth_mode
from app.api.operation.auditor import Auditor
from app.api.operation.metrics import Metrics, RedisTimes
from app.api.operation.queue_metrics import QueueCollector
from app.api.operation.wakeups import Wakeups
from app.api.pictures.credentials import load_signer
from app.api.pictures.decoder import Decoder
from app.api.pictures.delivery import Delivery
from app.api.pictures.fetching import PictureFetcher
from app.api.pictures.signed_links import SignedLinks
from app.api.search.keeper import SearchKeeper
from app.api.settings import ApiSettings
from jobs.callers.audit import AuditLog
from jobs.callers.identity import Identity, view_of
from jobs.callers.key_file import KeyFile
from jobs.callers.keys import KeyStore
from jobs.callers.link_secrets import LinkSecrets
from jobs.callers.payer import Payer, payer_of, unlimited
from jobs.callers.ring import KeyRing
from jobs.callers.sessions import Sessions
from jobs.callers.tenants import TenantBook, TenantStore
from jobs.callers.wrong_keys import WrongKeys
from jobs.catalog.catalog import Catalog
from jobs.catalog.catalog_file import CatalogFile
from jobs.db.connection import connect, connect_async
from jobs.errors import ConfigurationError
from jobs.events.event_log import EventLog
from jobs.events.secrets import secret_of
from jobs.events.webhooks import WebhookQueue
from jobs.queue.fleet.pools import pools_of_catalog
from jobs.queue.ledger import Ledger
from jobs.queue.queue import JobQueue
from jobs.queue.standing import Note, ignore
from jobs.queue.workers import WorkerRegistry
from jobs.resolve.limits import Limits
from jobs.status.history import History
from jobs.status.rescue import Rescue
from jobs.status.tallies import Tallies
from jobs.status.view import WHOLE, OnForeign
from jobs.storage.archive import JobArchive
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.job_files import JobFiles
from jobs.storage.segments import Segments
from jobs.storage.uploads import UploadLibrary

ASYNC_CONNECTIONS = 10  # shared by all readers of events; three of them wait for what happens


@dataclass(frozen=True)
class Services:
    """The services of the routes. Making them opens no connection."""

    settings: ApiSettings
    catalog_file: CatalogFile
    catalog: Catalog
    """As the file was when the request came: one request sees one catalog."""
    redis: Redis
    async_redis: AsyncRedis
    queue: JobQueue
    history: History
    rescue: Rescue
    workers: WorkerRegistry
    artifacts: ArtifactStore
    files: JobFiles
    decoder: Decoder
    delivery: Delivery
    links: SignedLinks
    events: EventLog
    wakeups: Wakeups
    embeddings: EmbeddingLibrary
    uploads: UploadLibrary
    search: SearchKeeper
    metrics: Metrics
    webhooks: WebhookQueue
    addresses: AddressPolicy
    auth: AuthMode
    keys: KeyRing
    auditor: Auditor
    tenants: TenantBook
    ledger: Ledger
    sessions: Sessions
    fetcher: PictureFetcher | None
    """None unless the operator allows addresses of pictures."""
    queries: OrderedDict[tuple[str, str], list[float]] = field(default_factory=OrderedDict)  # of texts
    wrong_keys: WrongKeys = field(default_factory=WrongKeys)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is about to stop, so that long waits end."""
    tenant: str = ""
    """Whose services these are: see ``seen_by``; empty for the default tenant."""
    payer: Callable[[], Payer] = unlimited  # of its jobs; may ask Redis for what is set for the tenant

    @property
    def limits(self) -> Limits:
        """The limits of one job: the operator's, and what the sender's quotas can ever grant.

        Raises:
            QueueUnavailableError: Redis, which keeps what is set for tenants, is away.
        """
        limits = Limits(self.settings.max_cost, self.settings.max_timeout_s)
        most = self.payer().most_of_one_job
        return limits if most is None else limits.within(most[0], f"{most[1]} grants")

    def seen_by(
        self, identity: Identity, note: Note = ignore, on_foreign: OnForeign | None = None
    ) -> "Services":
        """The same services for the sender of a request: jobs, events, embeddings and pictures of its tenant alone.

        An operator sees the jobs and events of all tenants; embeddings and search are of its own.

        Args:
            identity: of the sender.
            note: is told what is left of its quotas at each submission.
            on_foreign: as for ``View``.
        """
        view = view_of(identity).watched(on_foreign)

        def payer() -> Payer:
            return payer_of(identity, self.tenants.get(identity.tenant))

        changes: dict[str, Any] = {
            "catalog": self.catalog_file.now(),
            "queue": self.queue.seen_by(view, payer, note),
            "payer": payer,
        }
        if view != WHOLE or on_foreign is not None:
            changes |= {
                "events": self.events.seen_by(view),
                "history": self.history.seen_by(view),
                "rescue": self.rescue.seen_by(view),
                "embeddings": EmbeddingLibrary(self.artifacts, view.tenant),
                "uploads": self.uploads.seen_by(view.tenant),
                "tenant": view.tenant,
            }
        return replace(self, **changes)

    def webhook_secrets(self) -> list[str]:
        """The secrets that sign webhook messages of the tenant, the newest first.

        Raises:
            QueueUnavailableError: none is set, and Redis is away.
        """
        given = self.settings.webhook_secret
        chosen = given.get_secret_value().split() if given else []
        return [secret_of(self.tenant, secret) for secret in chosen or [self.webhooks.own_secret()]]


def build_services(settings: ApiSettings) -> Services:
    """Make every service.

    Raises:
        ConfigurationError: the model catalog or the keys file is missing or wrong, a URL is, nothing says who may call
            at an address that others can reach, the store is to sign addresses and cannot, or as for ``load_signer``.
    """
    redis_times, policy = RedisTimes(), AddressPolicy(settings.webhook_networks)
    redis = connect(settings.redis_url, patient=False, note=redis_times.note)
    async_redis = connect_async(settings.redis_url, max_connections=ASYNC_CONNECTIONS)
    catalog_file, artifacts = CatalogFile(settings.models_file), ArtifactStore(settings.artifacts_url)
    queue, workers, webhooks = _queue(settings, redis, artifacts), WorkerRegistry(redis), WebhookQueue(redis)
    pools = pools_of_catalog(redis, settings.pools, catalog_file.now())
    segments, delivery = Segments(artifacts, catalog_file.now().aesthetic_scorer.id), _delivery(settings)
    key_file = KeyFile(settings.keys_file) if settings.keys_file else None
    return Services(
        settings=settings,
        catalog_file=catalog_file,
        catalog=catalog_file.now(),
        redis=redis,
        async_redis=async_redis,
        queue=queue,
        history=History(redis),
        rescue=Rescue(redis),
        workers=workers,
        artifacts=artifacts,
        files=JobFiles(artifacts, beside=[segments.root]),
        decoder=Decoder(),
        delivery=delivery,
        links=_links(settings, redis, artifacts, delivery),
        events=EventLog(async_redis, archive=JobArchive(artifacts)),
        wakeups=Wakeups(),
        embeddings=EmbeddingLibrary(artifacts),
        uploads=_uploads(settings, redis, artifacts),
        search=SearchKeeper.of(segments, redis, settings.search_folder),
        metrics=Metrics(QueueCollector(redis, queue, workers, webhooks, pools), Tallies(redis), redis_times),
        webhooks=webhooks,
        addresses=policy,
        auth=auth_mode(settings),
        keys=KeyRing(KeyStore(redis), key_file),
        auditor=Auditor(AuditLog(redis)),
        tenants=TenantBook(TenantStore(redis), key_file, default=settings.tenant_quota),
        ledger=Ledger(redis),
        sessions=Sessions(redis),
        fetcher=PictureFetcher(policy) if settings.allow_picture_urls else None,
    )


def _queue(settings: ApiSettings, redis: Redis, artifacts: ArtifactStore) -> JobQueue:
    return JobQueue(
        redis,
        max_queued=settings.max_queued,
        max_kept_bytes=settings.max_kept_bytes,
        max_kept_file_bytes=settings.max_kept_file_bytes,
        replicas=settings.redis_replicas,
        archive=JobArchive(artifacts),
    )


def _uploads(settings: ApiSettings, redis: Redis, artifacts: ArtifactStore) -> UploadLibrary:
    keep_s, max_bytes = settings.upload_retention_s, settings.max_uploads_kept_bytes
    return UploadLibrary(redis, artifacts, keep_s=keep_s, max_bytes=max_bytes)


def _delivery(settings: ApiSettings) -> Delivery:
    signer = load_signer(settings.c2pa_certificate_file, settings.c2pa_key_file)
    if signer is not None and settings.marks == "off":
        raise ConfigurationError("content credentials are marks too: leave one of both out", field="marks")
    return Delivery(marks=settings.marks == "on", signer=signer)


def _links(settings: ApiSettings, redis: Redis, artifacts: ArtifactStore, delivery: Delivery) -> SignedLinks:
    if settings.store_signed_urls and not artifacts.can_sign:
        raise ConfigurationError("this artifact store signs no addresses", field="store_signed_urls")
    given = settings.signed_url_secret
    return SignedLinks(
        LinkSecrets(redis, given.get_secret_value().split() if given else ()),
        ttl_s=settings.signed_url_ttl_s,
        # What the store keeps is not signed yet.
        store=artifacts if settings.store_signed_urls and not delivery.signs else None,
    )


def services_of(request: Request) -> Services:
    """The services for the sender of a request, as admission has noted them; before it, those of the whole app."""
    services: Services = getattr(request.state, "services", request.app.state.services)
    return services


TheServices = Annotated[Services, Depends(services_of)]
