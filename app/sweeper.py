"""The background task of the API that brings back jobs whose worker died."""

import asyncio

import structlog
from anyio.to_thread import run_sync

from jobs.errors import QueueUnavailableError
from jobs.reaper import SWEEP_EVERY_S, Reaper

log = structlog.get_logger(__name__)


async def sweep_forever(reaper: Reaper) -> None:
    """Sweep every couple of seconds until cancelled; an outage of Redis is logged when it starts and ends."""
    away = False
    while True:
        try:
            await run_sync(reaper.sweep, abandon_on_cancel=True)
            if away:
                log.info("redis is back")
            away = False
        except QueueUnavailableError as error:
            if not away:
                log.warning("redis is away", reason=error.message)
            away = True
        except Exception:
            # Whatever one sweep trips over, the next one must still come: without it no lost job returns.
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_EVERY_S)
