"""Tends the nights: queues candidates, settles those that are made, drops what is out, ends what is over."""

from math import isfinite

import structlog

from jobs.db.connection import translates_redis_errors, translating_redis_errors
from jobs.errors import QueueUnavailableError, UnknownJobError
from jobs.nights.pieces import Flight, Held
from jobs.nights.reading import read_job
from jobs.nights.record import NightRecord
from jobs.nights.removal import delete_job
from jobs.nights.rules import held_of
from jobs.nights.sending import Sending
from jobs.nights.store import NightStore
from jobs.queue.queue import JobQueue
from jobs.status.job import Job, JobError, JobStatus
from jobs.status.night import NightStatus
from jobs.storage.job_files import JobFiles

FAILURES_BORNE = 10  # candidates that fail one after the other end a night

log = structlog.get_logger(__name__)


class Tender:
    """Call ``sweep`` every second. Safe to run in several processes at once, and to be ended at any time."""

    def __init__(self, store: NightStore, sending: Sending, files: JobFiles, *, keep_s: float) -> None:
        """Make one.

        Args:
            store: the nights.
            sending: submits their jobs.
            files: of the jobs.
            keep_s: seconds that the record of a night is kept after its end; 0 keeps it.
        """
        self._store, self._sending, self._files, self._keep_s = store, sending, files, keep_s

    @translates_redis_errors
    def sweep(self) -> None:
        """Tend each night that no other process tends now. A fault of one holds up no other."""
        for night_id in self._store.open():
            with self._store.turn(night_id) as is_ours:
                if not is_ours:
                    continue
                try:
                    with (
                        translating_redis_errors()
                    ):  # here, or the loss of Redis would be a fault of this night
                        self._tend(night_id)
                except QueueUnavailableError:
                    raise
                except Exception:
                    log.exception("night could not be tended", night=night_id)

    def _tend(self, night_id: str) -> None:
        record = self._store.find(night_id)
        if record is None:
            self._store.forget_open(night_id)
        elif record.is_deleted:
            self._remove(record)
        else:
            self._advance(record)

    def _advance(self, record: NightRecord) -> None:
        queue = self._sending.queue_of(record)
        for flight in self._store.flights(record.id):
            self._settle(record, queue, flight)
        self._drop_gone(record)
        record = self._store.find(record.id) or record
        if record.status is NightStatus.RUNNING and (goal := self._goal(record)) is not None:
            self._store.move(record.id, NightStatus.FINISHING, goal)
            record = self._store.find(record.id) or record
        if record.status is NightStatus.RUNNING:
            self._sending.top_up(record, self._store.flights(record.id))
            most = held_of(record.made, record.keep, record.share_of_time(self._store.now_us()))
            self._drop_beyond(record, queue, most)
        elif record.status is NightStatus.FINISHING:
            self._finish(record, queue)

    def _goal(self, record: NightRecord) -> NightStatus | None:
        """The end that a running night has come to; None if it goes on."""
        if record.in_a_row >= FAILURES_BORNE:
            return NightStatus.FAILED
        if record.is_over(self._store.now_us()):
            return NightStatus.SUCCEEDED
        if not self._sending.is_allowed(record):
            self._store.note_error(
                record.id, "unauthenticated", "the key that began it does not count any more"
            )
            return NightStatus.FAILED
        return None

    def _settle(self, record: NightRecord, queue: JobQueue, flight: Flight) -> None:
        """Note how a job has ended, if it has."""
        match flight.status:
            case None if flight.is_reserved and self._is_wanted(record, flight):
                if self._store.now_us() >= record.waits_until_us():
                    self._sending.send(record, flight)
            case None | JobStatus.CANCELED:
                self._store.settle(record.id, flight, "left small" if flight.is_large else "gone")
            case JobStatus.SUCCEEDED if flight.is_large:
                self._note_enlarged(record, queue, flight)
            case JobStatus.SUCCEEDED | JobStatus.FAILED:
                self._note_ended(record, queue, flight)
            case _ if flight.is_reserved:
                self._store.submitted(record.id, flight.name, flight.job_id)

    def _is_wanted(self, record: NightRecord, flight: Flight) -> bool:
        wanted = NightStatus.FINISHING if flight.is_large else NightStatus.RUNNING
        return record.status is wanted

    def _note_enlarged(self, record: NightRecord, queue: JobQueue, flight: Flight) -> None:
        # Before it is noted: whoever is ended in between does it again.
        for held in self._store.held(record.id):
            if held.number == flight.number and not held.is_enlarged and held.job_id is not None:
                delete_job(queue, self._files, held.job_id, has_ended=True)
        self._store.settle(record.id, flight, "enlarged")

    def _note_ended(self, record: NightRecord, queue: JobQueue, flight: Flight) -> None:
        """Note what a job has made, or why it has made nothing."""
        try:
            job = read_job(queue, flight.job_id)
        except UnknownJobError:  # deleted just now; or archived, and its file is gone
            self._store.settle(record.id, flight, "left small" if flight.is_large else "gone")
            return
        score = None if job is None else _score_of(job, record)
        if job is None or score is None:
            error = _failure_of(job)
            outcome = "left small" if flight.is_large else "failed"
            self._store.settle(record.id, flight, outcome, error.type, error.message)
        else:
            made_us = int(job.finished_at.timestamp() * 1e6) if job.finished_at else 0
            self._store.settle(record.id, flight, "made", score, made_us=made_us)

    def _drop_gone(self, record: NightRecord) -> None:
        """Hold no pictures whose jobs somebody has deleted; one that is being enlarged loses its smaller one so."""
        flying = {flight.number for flight in self._store.flights(record.id) if flight.is_large}
        for gone in self._store.held(record.id, gone=True):
            if gone.number not in flying:
                self._store.drop(record.id, gone.number)

    def _drop_beyond(self, record: NightRecord, queue: JobQueue, most: int) -> tuple[Held, ...]:
        """Delete the pictures that come after the best; these."""
        held = self._store.held(record.id)
        for each in held[most:]:
            if each.job_id is not None:
                delete_job(queue, self._files, each.job_id, has_ended=True)
            self._store.drop(record.id, each.number)
        return held[:most]

    def _finish(self, record: NightRecord, queue: JobQueue) -> None:
        is_successful = record.goal is NightStatus.SUCCEEDED
        for flight in self._store.flights(record.id):
            is_early = flight.status in {None, JobStatus.QUEUED} and not flight.is_large
            if is_early or not is_successful:
                delete_job(queue, self._files, flight.job_id, has_ended=flight.has_ended)
                self._store.settle(record.id, flight, "gone")
        flights = self._store.flights(record.id)
        if any(not flight.is_large for flight in flights):
            return
        kept = self._drop_beyond(record, queue, record.num_kept)
        if is_successful and record.plan.upscale is not None:
            small = [each.number for each in kept if not each.is_enlarged and not each.is_left_small]
            flying = {flight.number for flight in flights}
            self._sending.enlarge(record, flights, [number for number in small if number not in flying])
            if small or flights:
                return
        self._store.move(record.id, record.goal, record.goal, keep_s=self._keep_s)
        log.info("night ended", night=record.id, status=record.goal, made=record.made, kept=len(kept))

    def _remove(self, record: NightRecord) -> None:
        queue = self._sending.queue_of(record)
        for flight in self._store.flights(record.id):
            delete_job(queue, self._files, flight.job_id, has_ended=flight.has_ended)
        for held in self._store.held(record.id):
            if held.job_id is not None:
                delete_job(queue, self._files, held.job_id, has_ended=True)
        self._store.forget(record.id, record.tenant)


def _score_of(job: Job, record: NightRecord) -> float | None:
    """The score of the picture that a job made; None without one."""
    if not job.images:
        return None
    (image, *_) = job.images
    score = image.aesthetic_score if record.by == "aesthetic" else image.clip_score
    return score if score is not None and isfinite(score) else None


def _failure_of(job: Job | None) -> JobError:
    """Why a job that has ended made nothing that counts; None is one that cannot be read."""
    if job is None:
        return JobError(type="job_failed", message="its record cannot be read")
    if job.error is not None:
        return job.error
    is_done = job.status is JobStatus.SUCCEEDED
    message = "it made no picture that has a score" if is_done else "no reason is known"
    return JobError(type="job_failed", message=message)
