"""The background tasks of the API: one requeues jobs of dead workers, one deletes old jobs, one tends the nights."""

import asyncio
from collections.abc import Callable

import structlog
from anyio.to_thread import run_sync

from jobs.errors import QueueUnavailableError
from jobs.nights.tender import Tender
from jobs.queue.reaper import SWEEP_EVERY_S, Reaper
from jobs.queue.retention import PORTION, Retention

TEND_EVERY_S = 1.0
EXPIRE_EVERY_S = 2.0  # soon enough to make room before a busy caller has filled the last quarter

log = structlog.get_logger(__name__)


async def sweep_forever(reaper: Reaper) -> None:
    """Sweep every second until canceled; an outage of Redis is logged when it starts and ends."""
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
            # After any error the next sweep must still come: without it no lost job returns.
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_EVERY_S)


async def expire_forever(retention: Retention) -> None:
    """Delete what is due until canceled. A task of its own: a slow artifact store must not keep lost jobs waiting."""
    while True:
        deleted = await run_sync(_tolerant(retention.sweep), abandon_on_cancel=True)
        await asyncio.sleep(0 if deleted >= PORTION else EXPIRE_EVERY_S)


async def tend_forever(tender: Tender) -> None:
    """Tend the nights every second until canceled. A task of its own, since it deletes pictures."""
    while True:
        try:
            await run_sync(tender.sweep, abandon_on_cancel=True)
        except QueueUnavailableError:
            pass  # the first task logs it
        except Exception:
            log.exception("nights could not be tended")
        await asyncio.sleep(TEND_EVERY_S)


def _tolerant(sweep: Callable[[], int]) -> Callable[[], int]:
    def swept() -> int:
        try:
            return sweep()
        except QueueUnavailableError:
            return 0  # the other task logs it
        except Exception:
            log.exception("expired jobs could not be deleted")
            return 0

    return swept
