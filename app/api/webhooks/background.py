"""The delivery of webhooks as the API runs it."""

import asyncio
from functools import partial

from anyio.to_thread import run_sync

from app.api.pictures.finished import signed_addresses
from app.api.services import Services
from app.api.webhooks.deliverer import POLL_S, Deliverer
from app.api.webhooks.sender import Sender
from jobs.errors import QueueUnavailableError
from jobs.status.job import Job


async def deliver_webhooks(services: Services) -> None:
    """Deliver until canceled."""
    sender = Sender(await _secrets(services), services.addresses)
    try:
        deliverer = Deliverer(
            services.webhooks, services.queue, sender, services.metrics, partial(_addresses, services)
        )
        await deliverer.run()
    finally:
        await sender.close()


def _addresses(services: Services, job: Job) -> list[str]:
    if not services.settings.signed_urls:
        return []
    return signed_addresses(services, job, job.picture_suffix)


async def _secrets(services: Services) -> list[str]:
    """The signing secrets; waits for Redis, which may be away when the API starts."""
    while True:
        try:
            return await run_sync(services.webhook_secrets, abandon_on_cancel=True)
        except QueueUnavailableError:
            await asyncio.sleep(POLL_S)
