"""What the API does besides answering: it recovers, deletes, sends and tells what is due."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.concurrency import run_in_threadpool

from app.api.operation.revocations import follow_revocations
from app.api.operation.sweeper import expire_forever, sweep_forever, tend_forever
from app.api.operation.wakeups import hear_advances, wake_readers
from app.api.services import Services
from app.api.webhooks.background import deliver_webhooks
from jobs.db.migration import migrate_if_possible
from jobs.db.servers import is_cluster
from jobs.nights.sending import Sending
from jobs.nights.store import NightStore
from jobs.nights.tender import Tender
from jobs.queue.reaper import Reaper
from jobs.queue.retention import Retention
from jobs.storage.archive import JobArchive

MIGRATE_AGAIN_S = 5.0

Work = Coroutine[Any, Any, None]


async def background_of(services: Services) -> tuple[Work, ...]:
    """The work that goes on until the server ends; each is to be awaited in a task of its own."""
    may_find_earlier = not is_cluster(services.settings.redis_url)
    is_migrated = may_find_earlier and await run_in_threadpool(migrate_if_possible, services.redis)
    return (
        sweep_forever(Reaper(services.redis)),
        expire_forever(_retention(services)),
        tend_forever(_tender(services)),
        wake_readers(services.async_redis, services.wakeups),
        hear_advances(services.async_redis, services.wakeups),
        services.search.run(services.wakeups),
        *((_migrate(services),) if may_find_earlier and not is_migrated else ()),
        _wake_at_stop(services),
        deliver_webhooks(services),
        *(() if services.auth == "none" else (follow_revocations(services.async_redis, services.keys),)),
    )


def _retention(services: Services) -> Retention:
    return Retention(
        services.redis,
        services.files,
        keep_s=services.settings.retention_s,
        max_kept_bytes=services.settings.max_kept_bytes,
        max_kept_file_bytes=services.settings.max_kept_file_bytes,
        archive=JobArchive(services.artifacts),
        archive_after_s=services.settings.archive_after_s,
    )


def _tender(services: Services) -> Tender:
    store, settings = NightStore(services.redis), services.settings
    sending = Sending(
        store,
        services.queue,
        services.files,
        services.keys,
        services.tenants,
        max_queued=settings.max_queued,
    )
    return Tender(store, sending, services.files, keep_s=settings.retention_s)


async def _migrate(services: Services) -> None:
    """Move the keys of an earlier version once Redis, which was away at the start, is there."""
    while not await run_in_threadpool(migrate_if_possible, services.redis):
        await asyncio.sleep(MIGRATE_AGAIN_S)


async def _wake_at_stop(services: Services) -> None:
    """End the streams of events, which would delay the server's stop."""
    await services.stopping.wait()
    services.wakeups.wake_all()
