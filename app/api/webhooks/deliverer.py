"""The background task of the API that delivers webhook messages. Safe to run in several processes at once."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog
from anyio.to_thread import run_sync

from app.api.operation.metrics import Metrics
from app.api.operation.tracing import note_outcome, tracing_delivery
from app.api.webhooks.message import message_of
from app.api.webhooks.sender import DeliveryError, Sender
from jobs.errors import QueueUnavailableError, UnknownJobError
from jobs.events.webhooks import GIVE_UP_S, MOST_PER_CALLER, Delivery, WebhookQueue
from jobs.queue.queue import JobQueue
from jobs.requests.delivery.webhook import WebhookEvent
from jobs.status.job import Job

POLL_S = 1.0
AT_ONCE = 4 * MOST_PER_CALLER  # so that the receivers of three callers cannot block all others
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 3600.0

log = structlog.get_logger(__name__)


def pause_s(attempt: int) -> float:
    """Seconds to wait after the attempt of this number, from 1: twice as long each time, up to an hour."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 32))
    return longest * random.uniform(0.5, 1.0)  # or the messages of an outage would all come back at once


class Deliverer:
    """Takes messages that are due, a few at a time, and settles each."""

    def __init__(
        self,
        owed: WebhookQueue,
        queue: JobQueue,
        sender: Sender,
        metrics: Metrics,
        addresses: Callable[[Job], Sequence[str]] = lambda _: (),
    ) -> None:
        """Take nothing yet.

        Args:
            owed: the messages.
            queue: of their jobs.
            sender: of messages.
            metrics: where attempts are counted.
            addresses: of a job's pictures that need no key; none if receivers have one.
        """
        self._owed = owed
        self._addresses = addresses
        self._queue = queue
        self._sender = sender
        self._metrics = metrics
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._settled = asyncio.Event()  # so there may be a turn for another of its host or caller

    async def run(self) -> None:
        """Deliver until canceled. A message being sent at that moment is sent again by the next deliverer."""
        async with asyncio.TaskGroup() as sending:
            while True:
                await self._slots.acquire()
                self._settled.clear()
                delivery = await self._take()
                if delivery is None:
                    self._slots.release()
                    await self._pause()
                else:
                    sending.create_task(self._deliver(delivery))

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._settled.wait()

    async def _take(self) -> Delivery | None:
        try:
            return await run_sync(self._owed.take, abandon_on_cancel=True)
        except QueueUnavailableError:
            return None  # the sweeper logs it
        except Exception:
            log.exception("no webhook message could be taken")
            return None

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._settle(delivery)
        except QueueUnavailableError:
            pass  # the sweeper logs it; the message's lease ends, and it is due again
        except Exception:
            # Its lease ends, and it is due again.
            log.exception("webhook message could not be settled", message=delivery.message_id)
        finally:
            self._slots.release()
            self._settled.set()

    async def _settle(self, delivery: Delivery) -> None:
        facts = {"job": delivery.job_id, "message": delivery.message_id, "attempt": delivery.attempt}
        try:
            job = await run_sync(self._queue.get, delivery.job_id)
        except UnknownJobError:
            await run_sync(self._owed.give_up, delivery, "the job was deleted")
            return
        with tracing_delivery(delivery) as span:
            try:
                url = job.webhook.url if job.webhook else ""
                body = message_of(job, delivery.event, await run_sync(self._addresses, job))
                await self._sender.send(url, delivery.message_id, body, delivery.tenant)
            except DeliveryError as error:
                settle, outcome = self._after(delivery, error)
                note_outcome(span, outcome, error.reason)
                log.warning(
                    "webhook message not accepted",
                    reason=error.reason,
                    detail=error.detail,
                    outcome=outcome,
                    **facts,
                )
            else:
                settle, outcome = partial(self._owed.delivered, delivery), "delivered"
                note_outcome(span, outcome)
                log.info("webhook message delivered", **facts)
        self._metrics.webhook_attempts.labels(outcome).inc()
        await run_sync(settle)

    def _after(self, delivery: Delivery, error: DeliveryError) -> "tuple[partial[None], str]":
        """The next state of a message that was not accepted."""
        pause = pause_s(delivery.attempt)
        is_hopeless = error.is_final or delivery.event is not WebhookEvent.DONE
        if is_hopeless or delivery.age_s + pause > GIVE_UP_S:
            return partial(self._owed.give_up, delivery, error.reason, is_silent=error.is_silent), "failed"
        return partial(self._owed.retry, delivery, pause, error.reason, is_silent=error.is_silent), "retried"
