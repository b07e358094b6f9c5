"""The delivery of webhooks as the API runs it."""

import asyncio

from anyio.to_thread import run_sync

from app.api.services import Services
from app.api.webhooks.deliverer import POLL_S, Deliverer
from app.api.webhooks.sender import Sender
from jobs.errors import QueueUnavailableError


async def deliver_webhooks(services: Services) -> None:
    """Deliver until canceled."""
    sender = Sender(await _secrets(services), services.addresses)
    try:
        await Deliverer(services.webhooks, services.queue, sender, services.metrics).run()
    finally:
        await sender.close()


async def _secrets(services: Services) -> list[str]:
    """The signing secrets; waits for Redis, which may be away when the API starts."""
    while True:
        try:
            return await run_sync(services.webhook_secrets, abandon_on_cancel=True)
        except QueueUnavailableError:
            await asyncio.sleep(POLL_S)
