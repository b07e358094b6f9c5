"""The hash that Redis keeps for a night, and what of it callers see."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import cast

from jobs.callers.identity import Identity, Via
from jobs.callers.quota import Quota
from jobs.callers.record import DEFAULT_TENANT
from jobs.db.times import instant
from jobs.nights.pieces import Held
from jobs.requests.request import ResolvedRequest
from jobs.requests.selection import Score
from jobs.requests.start.seeds import MAX_SEED
from jobs.requests.tasks import generation_of, read_request
from jobs.status import links
from jobs.status.job import JobError
from jobs.status.night import (
    WHOLE,
    Keep,
    Night,
    NightPicture,
    NightStatus,
    RacePoint,
    kept_of,
    share_and_most,
)


class NightRecord:
    """The hash of a night."""

    def __init__(self, night_id: str, fields: Mapping[str, str]) -> None:
        self.id = night_id
        self._fields = fields

    @property
    def status(self) -> NightStatus:
        """Its status."""
        return NightStatus(self._fields["status"])

    @property
    def goal(self) -> NightStatus:
        """The status that it is to have in the end, once it is finishing."""
        return NightStatus(self._fields["goal"])

    @property
    def is_deleted(self) -> bool:
        """Whether it is to be forgotten, with its pictures."""
        return "deleted" in self._fields

    @property
    def tenant(self) -> str:
        """Whose it is; empty for the default tenant."""
        return self._fields.get("tenant", "")

    @property
    def digest(self) -> str:
        """Of the request as it came."""
        return self._fields["digest"]

    @property
    def made(self) -> int:
        """Pictures made so far."""
        return int(self._fields["made"])

    @property
    def in_a_row(self) -> int:
        """Pictures that have failed since the last that did not."""
        return int(self._fields["in_a_row"])

    @property
    def caller(self) -> str:
        """The name of the sender within its tenant."""
        return self._fields["caller"]

    @property
    def notes(self) -> tuple[str, ...]:
        """The first notes of its jobs."""
        return tuple(self._fields["notes"].split("\n")) if self._fields["notes"] else ()

    @property
    def keep(self) -> Keep:
        """How many are kept."""
        told = self._fields["keep"]
        return int(told) if told.isdecimal() else told

    @property
    def by(self) -> Score:
        """The score that ranks."""
        return cast("Score", self._fields["by"])

    @cached_property
    def plan(self) -> ResolvedRequest:
        """The request of each picture, with the upscaling that the kept ones get."""
        return generation_of(read_request(self._fields["plan"], extra="ignore"))

    @property
    def label(self) -> str:
        """The label of its jobs."""
        return label_of(self.id)

    @property
    def num_kept(self) -> int:
        """How many of those made so far are kept, if they are still there."""
        return kept_of(self.made, self.keep)

    def waits_until_us(self) -> int:
        """Until when no further job is queued."""
        return int(self._fields.get("waits_until_us", 0))

    def is_over(self, now_us: int) -> bool:
        """Whether the time to draw in is over."""
        return now_us >= int(self._fields["ends_us"])

    def share_of_time(self, now_us: int) -> float:
        """The part of its time that has passed, over 0 and up to 1."""
        created, ends = int(self._fields["created_us"]), int(self._fields["ends_us"])
        return min(1.0, max(1, now_us - created) / max(1, ends - created))

    def identity(self) -> Identity:
        """Of the sender."""
        payer = json.loads(self._fields["payer"])
        quota = None if payer["quota"] is None else Quota.model_validate(payer["quota"], extra="ignore")
        via = cast("Via", payer["via"])
        return Identity(
            self.tenant or DEFAULT_TENANT, payer["name"], frozenset(), via, payer["key_id"], quota
        )

    def request_of(self, number: int, *, is_large: bool) -> ResolvedRequest:
        """The request of one picture."""
        seed = (self.plan.seed + number) % (MAX_SEED + 1)
        changes = {"seed": seed, **({} if is_large else {"upscale": None})}
        return self.plan.model_copy(update=changes)

    def show(
        self,
        pending: int,
        held: Sequence[Held],
        race: Sequence[RacePoint],
        now_us: int,
        most: int | None = None,
    ) -> Night:
        """The night as callers see it.

        Args:
            pending: its jobs that have not ended.
            held: its pictures, best first.
            race: its points.
            now_us: the time.
            most: pictures to show; None for all.
        """
        kept = [each for each in held[: self.num_kept] if each.job_id is not None]
        finished = self._fields.get("finished_us")
        return Night(
            id=self.id,
            status=self.status,
            created_at=instant(int(self._fields["created_us"])),
            ends_at=instant(int(self._fields["ends_us"])),
            finished_at=None if finished is None else instant(int(finished)),
            left_s=self._left_s(now_us),
            request=self.request_of(0, is_large=False),
            label=self.label,
            keep=self.keep,
            by=self.by,
            upscale=self.plan.upscale is not None,
            made=self.made,
            failed=int(self._fields["failed"]),
            pending=pending,
            num_kept=len(kept),
            enlarged=sum(each.is_enlarged for each in kept),
            threshold=kept[-1].score if kept and not self._has_room else None,
            kept=tuple(self._picture(each) for each in kept[:most]),
            race=tuple(race),
            race_every=int(self._fields["every"]),
            waits_for=self._fields.get("waits_for"),
            error=self._error(),
        )

    @property
    def _has_room(self) -> bool:
        """Whether the next picture is kept whatever it scores."""
        share, most = share_and_most(self.keep)
        return share == WHOLE and self.made < most

    def _left_s(self, now_us: int) -> float:
        if self.status is not NightStatus.RUNNING:
            return 0.0
        return max(0, int(self._fields["ends_us"]) - now_us) / 1e6

    def _error(self) -> JobError | None:
        if "error" not in self._fields:
            return None
        return JobError(type=self._fields["error_type"], message=self._fields["error"])

    def _picture(self, held: Held) -> NightPicture:
        upscale, passes = self.plan.upscale, self.plan.passes
        factor = upscale.factor if held.is_enlarged and upscale else 1
        job_id = held.job_id or ""
        return NightPicture(
            number=held.number,
            seed=self.request_of(held.number, is_large=False).seed,
            score=held.score,
            job_id=job_id,
            url=links.here(links.image(job_id, 0)),
            width=passes[-1].width * factor,
            height=passes[-1].height * factor,
            enlarged=held.is_enlarged,
        )


def label_of(night_id: str) -> str:
    """The label of a night's jobs."""
    return f"night-{night_id}"
