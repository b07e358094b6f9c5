"""Quotas: what the scripts grant, give back and count."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from jobs.callers.payer import Account, Payer
from jobs.callers.quota import NO_QUOTA, Quota
from jobs.db.scripts import PREFIX, Scripts
from jobs.errors import JobFailedError, LodestarError, QueueFullError, QuotaExceededError, RateLimitedError
from jobs.queue.leases import Leases
from jobs.queue.ledger import Ledger
from jobs.queue.order import cost_of
from jobs.queue.queue import JobQueue
from jobs.queue.standing import Allowance
from jobs.requests.selection import ResolvedSelection, Weights
from jobs.requests.tasks import QueryTask
from jobs.status.job import Progress
from jobs.status.view import View
from tests.jobs.samples import RESOLVED, claimed, pictures_of, submission

COST = cost_of(RESOLVED)
LUA = (Path(__file__).parents[3] / "jobs" / "db" / "lua" / "accounts.lua").read_text()
REFUSED = (RateLimitedError, QuotaExceededError, QueueFullError)


def payer(tenant: Quota = NO_QUOTA, caller: Quota | None = None, weight: float = 1.0) -> Payer:
    own = () if caller is None else (Account("studio/1", "caller", caller),)
    return Payer((Account("studio", "tenant", tenant), *own), weight)


Make = Callable[..., JobQueue]


@pytest.fixture
def paid(redis: Redis) -> Make:
    """A queue of a tenant with quotas."""

    def make(tenant: Quota = NO_QUOTA, caller: Quota | None = None, **options: Any) -> JobQueue:
        queue = JobQueue(redis, max_queued=1000)
        weight = options.pop("weight", 1.0)
        return queue.seen_by(View("studio", is_whole=False), lambda: payer(tenant, caller, weight), **options)

    return make


@pytest.fixture
def used(redis: Redis) -> Callable[..., int]:
    """What an account has used this month."""

    def of(account: str = "studio", field: str = "units") -> int:
        ledger = Ledger(redis)
        (found,) = ledger.used([(Account(account, "tenant"), account)], ledger.month())
        return int(getattr(found, field))

    return of


@pytest.fixture(scope="module")
def step(valkey: str) -> Iterator[Callable[..., bool]]:
    """One job at a time in microseconds; whether it passed."""
    with Redis.from_url(valkey, decode_responses=True) as redis:
        script = redis.register_script(
            LUA + "local prefix, id, now, cost = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])\n"
            "local accounts = cjson.decode(ARGV[5])\n"
            "local used, whose = consider_cost(prefix, accounts, cost, now, '202601')\n"
            "if whose > 0 then return 0 end\n"
            "local charged = charge(prefix, id, accounts, used, cost, now, '202601')\n"
            "redis.call('HSET', prefix .. 'job:' .. id, 'cost', cost, 'accounts', charged, 'month', '202601')\n"
            "return 1"
        )
        back = redis.register_script(LUA + "settle(ARGV[1], ARGV[2], tonumber(ARGV[3]), 0, 0)")

        def run(action: str, *arguments: str | int | float) -> bool:
            return bool((script if action == "ask" else back)(args=["reference:", *arguments]))

        yield run


class TestRates:
    """The leaky bucket of ``accounts.lua``, at times that the test chooses."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        rate=st.integers(1, 500),
        burst=st.integers(1, 2000),
        events=st.lists(
            st.tuples(st.integers(0, 20_000_000), st.integers(1, 600), st.sampled_from([0, 0, 0, 0.5, 1])),
            min_size=1,
            max_size=25,
        ),
    )
    def test_they_grant_what_the_cell_rate_algorithm_grants(
        self,
        step: Callable[..., bool],
        redis: Redis,
        rate: int,
        burst: int,
        events: list[tuple[int, int, float]],
    ) -> None:
        redis.delete(*(f"reference:{key}" for key in ("levels:a", "usage:a:202601")))
        limits = payer(Quota(units_per_second=rate, burst_units=burst)).dump().replace('"studio"', '"a"')
        now, arrival = 1_760_000_000_000_000, Fraction(0)  # the theoretical arrival time, in seconds
        for number, (pause_us, cost, given_back) in enumerate(events):
            now += pause_us
            seconds = Fraction(now, 10**6)
            # Virtual scheduling, as in ITU-T I.371, with a job's cost in place of a cell.
            after = max(arrival, seconds) + Fraction(cost, rate)
            slack = seconds + Fraction(burst, rate) - after
            passed = step("ask", number, now, cost, limits)
            if abs(slack) * rate > Fraction(1, 10**6):
                assert passed is (slack > 0)
            if not passed:
                continue
            arrival = after
            if given_back:
                step("settle", number, given_back)
                arrival -= Fraction(int(cost * given_back + 0.5), rate)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(now=st.datetimes(datetime(1970, 1, 1), datetime(2255, 1, 1)))
    def test_a_month_is_the_calendar_s(self, redis: Redis, now: datetime) -> None:
        microseconds = int(now.replace(tzinfo=UTC).timestamp()) * 10**6
        told = redis.eval(LUA + "return month_of(tonumber(ARGV[1]))", 0, str(microseconds))
        assert told == f"{now:%Y%m}"


def test_a_job_beyond_what_is_left_is_refused_and_told_when_it_passes(paid: Make) -> None:
    queue = paid(Quota(units_per_second=0.01, burst_units=2 * COST))
    queue.submit(RESOLVED)
    queue.submit(RESOLVED)
    with pytest.raises(RateLimitedError, match=rf"costs {COST} units of work, and 0 are left") as refused:
        queue.submit(RESOLVED)
    assert refused.value.retry_after_s == pytest.approx(100 * COST, rel=0.01)
    assert len(queue.list().data) == 2


def test_what_was_granted_leaks_away(paid: Make) -> None:
    queue = paid(Quota(units_per_second=20 * COST, burst_units=COST))
    for _ in range(3):
        queue.submit(RESOLVED)
        time.sleep(0.06)


def test_submissions_are_counted_by_the_minute(paid: Make) -> None:
    queue = paid(Quota(requests_per_minute=2))
    first = queue.submit(RESOLVED).job.id
    queue.submit(QueryTask(clip="pocket-m", text="an apple"))
    queue.cancel(first)
    with pytest.raises(RateLimitedError, match="2 submissions a minute") as refused:
        queue.submit(RESOLVED)
    assert refused.value.retry_after_s == pytest.approx(30, abs=2)


def test_a_replay_is_charged_to_nobody(paid: Make, used: Callable[..., int]) -> None:
    queue = paid(Quota(requests_per_minute=1, units_per_month=COST))
    first = queue.submit(RESOLVED, idempotency_key="key")
    again = queue.submit(RESOLVED, idempotency_key="key")
    assert again.replayed
    assert again.job.id == first.job.id
    assert used() == COST


def test_a_repeated_submission_is_charged_once(
    scripts: Scripts, redis: Redis, used: Callable[..., int]
) -> None:
    arguments = [
        *submission("a"),
        *[""] * 5,
        0,
        0,
        0,
        0,
        "studio",
        1,
        payer(Quota(units_per_month=99)).dump(),
    ]
    for _ in range(2):
        assert scripts("submit", *arguments)[0] == "accepted"
    assert used() == 50


def test_only_so_many_jobs_of_a_tenant_may_wait(paid: Make, leases: Leases) -> None:
    queue = paid(Quota(max_waiting=2))
    first, second = (queue.submit(RESOLVED).job.id for _ in range(2))
    with pytest.raises(QueueFullError, match="2 jobs are waiting already, and the tenant's quota"):
        queue.submit(RESOLVED)
    lease = claimed(leases, first)
    third = queue.submit(RESOLVED).job.id
    leases.release(lease)  # it waits again, whatever the limit
    for job_id in (first, second):
        with pytest.raises(QueueFullError):
            queue.submit(RESOLVED)
        queue.cancel(job_id)
    queue.delete(third)
    queue.submit(RESOLVED)
    queue.submit(RESOLVED)


def test_a_job_that_an_older_process_took_out_of_the_queue_waits_no_more(paid: Make, redis: Redis) -> None:
    queue = paid(Quota(max_waiting=2))
    first = queue.submit(RESOLVED).job.id
    queue.submit(RESOLVED)
    redis.hset(f"{PREFIX}job:{first}", "status", "running")  # its script knows no accounts
    queue.submit(RESOLVED)
    with pytest.raises(QueueFullError):
        queue.submit(RESOLVED)


def test_a_month_s_budget_is_spent_to_the_last_unit(paid: Make) -> None:
    queue = paid(Quota(units_per_month=2 * COST + COST // 2))
    queue.submit(RESOLVED)
    queue.submit(RESOLVED)
    with pytest.raises(
        QuotaExceededError, match=f"{COST // 2} of the {2 * COST + COST // 2} are left"
    ) as spent:
        queue.submit(RESOLVED)
    assert 0 < (spent.value.retry_after_s or 0) <= 31 * 86400
    queue.submit(QueryTask(clip="pocket-m", text="an apple"))


def test_a_caller_s_quota_holds_within_its_tenant_s(paid: Make, used: Callable[..., int]) -> None:
    narrow = paid(Quota(units_per_month=3 * COST), Quota(units_per_month=COST))
    wide = paid(Quota(units_per_month=3 * COST))
    narrow.submit(RESOLVED)
    with pytest.raises(QuotaExceededError, match="the caller's quota"):
        narrow.submit(RESOLVED)
    wide.submit(RESOLVED)
    wide.submit(RESOLVED)
    with pytest.raises(QuotaExceededError, match="the tenant's quota"):
        wide.submit(RESOLVED)
    assert (used(), used("studio/1")) == (3 * COST, COST)


class TestSettlement:
    def test_a_job_that_was_never_begun_costs_nothing(self, paid: Make, used: Callable[..., int]) -> None:
        queue = paid(Quota(units_per_second=0.001, burst_units=COST))
        for end in (queue.cancel, queue.delete):
            end(queue.submit(RESOLVED).job.id)
            assert used() == 0
        queue.submit(RESOLVED)  # the rate, too, has it back

    def test_one_that_succeeded_costs_what_was_said(
        self, paid: Make, leases: Leases, used: Callable[..., int]
    ) -> None:
        queue = paid()
        lease = claimed(leases, queue.submit(RESOLVED).job.id)
        leases.renew(lease, Progress(step=3, steps=25))
        leases.succeed(lease, pictures_of(lease))
        queue.delete(lease.job_id)
        assert [used(field=field) for field in ("units", "jobs", "pictures")] == [COST, 1, 1]

    def test_of_a_selection_the_pictures_that_are_kept_count(
        self, paid: Make, leases: Leases, used: Callable[..., int]
    ) -> None:
        select = ResolvedSelection(keep=2, by=Weights(clip=1), scorer="pocket-s")
        wanted = RESOLVED.model_copy(update={"num_images": 8, "select": select})
        lease = claimed(leases, paid().submit(wanted).job.id)
        leases.succeed(lease, pictures_of(lease))
        assert used(field="pictures") == 2

    @pytest.mark.parametrize("end", ["cancel", "fail", "delete", "lose"])
    def test_one_that_ended_half_way_costs_the_steps_that_were_done(
        self, paid: Make, leases: Leases, used: Callable[..., int], end: str, scripts: Scripts
    ) -> None:
        queue = paid()
        lease = claimed(leases, queue.submit(RESOLVED).job.id)
        leases.renew(lease, Progress(step=10, steps=25))
        match end:
            case "cancel":
                queue.cancel(lease.job_id)
                leases.cancel(lease)
            case "fail":
                leases.fail(lease, JobFailedError("because"))
            case "delete":
                queue.delete(lease.job_id)
            case "lose":
                queue.cancel(lease.job_id)
                scripts("recover", lease.job_id, lease.fence, 3, "{}", 10, "{}")
        assert used() == round(COST * 0.4)
        assert used(field="pictures") == 0

    def test_it_is_settled_once(self, paid: Make, leases: Leases, used: Callable[..., int]) -> None:
        queue = paid()
        lease = claimed(leases, queue.submit(RESOLVED).job.id)
        for _ in range(2):
            leases.fail(lease, JobFailedError("because"))
        queue.cancel(lease.job_id)
        queue.delete(lease.job_id)
        assert used() == 0

    def test_a_job_of_an_older_version_is_charged_to_nobody(
        self, scripts: Scripts, redis: Redis, queue: JobQueue
    ) -> None:
        scripts("submit", *submission("a"))
        queue.cancel("a")
        queue.delete("a")
        assert redis.keys(f"{PREFIX}usage:*") == []


@pytest.mark.parametrize(
    "quotas",
    [
        (Quota(units_per_month=25 * COST + 3), Quota(units_per_month=30 * COST)),
        (Quota(units_per_month=30 * COST), Quota(units_per_second=1e-6, burst_units=25 * COST + 3)),
        (Quota(max_waiting=25), Quota(units_per_month=30 * COST)),
    ],
    ids=["month", "rate", "waiting"],
)
def test_budgets_are_exact_under_fifty_submitters_who_cancel(
    paid: Make, redis: Redis, used: Callable[..., int], quotas: tuple[Quota, Quota]
) -> None:
    queue, together, most = paid(*quotas), threading.Barrier(50), [0]

    def act(number: int) -> list[str]:
        together.wait()
        kept = []
        for _ in range(2):
            try:
                job_id = queue.submit(RESOLVED).job.id
            except REFUSED:
                continue
            most.append(used())
            if number % 2:
                queue.cancel(job_id)
            else:
                kept.append(job_id)
        return kept

    with ThreadPoolExecutor(50) as pool:
        kept = [job_id for found in pool.map(act, range(50)) for job_id in found]
    with suppress(*REFUSED):
        while True:
            kept.append(queue.submit(RESOLVED).job.id)
    assert len(kept) == 25
    assert used() == used("studio/1") == 25 * COST
    assert COST <= max(most) <= 25 * COST
    for job_id in kept:
        queue.cancel(job_id)
    assert used() == used("studio/1") == 0
    levels = redis.hget(f"{PREFIX}levels:studio/1", "units")
    assert levels is None or float(str(levels)) < 0.01
    assert not redis.exists(f"{PREFIX}waiting_of:studio")


def test_what_is_left_is_told_at_each_submission(paid: Make) -> None:
    told: list[tuple[Allowance, ...]] = []
    quota = Quota(requests_per_minute=5, units_per_second=10, max_waiting=3, units_per_month=12 * COST)
    queue = paid(quota, note=told.append)
    queue.submit(RESOLVED)
    left = {each.limit: each for each in told[-1]}
    assert [(each.most, each.remaining) for each in left.values()] == [
        (5, 4),
        (600, 600 - COST),
        (3, 2),
        (12 * COST, 11 * COST),
    ]
    assert left["units"].window_s == 60
    assert left["units"].reset_s == pytest.approx(COST / 10, abs=0.1)
    assert left["requests"].reset_s == pytest.approx(12, abs=0.1)
    assert left["month"].window_s in {days * 86400 for days in (28, 29, 30, 31)}
    with suppress(LodestarError):
        while True:
            queue.submit(RESOLVED)
    assert {each.limit: each.remaining for each in told[-1]}["waiting"] == 0


class TestQuotes:
    def test_a_quote_says_what_the_submission_will(self, paid: Make, redis: Redis) -> None:
        tight = Quota(units_per_month=4 * COST - 1)
        queue = paid(tight)
        for _ in range(3):
            queue.submit(RESOLVED, caller="ann")
        quotes = [
            Ledger(redis).quote(RESOLVED, payer(quota), tenant="studio", caller="bob")
            for quota in (tight, NO_QUOTA)
        ]
        assert [quote.cost for quote in quotes] == [COST, COST]
        assert [quote.is_covered for quote in quotes] == [False, True]
        assert 0 < quotes[0].retry_after_s <= 31 * 86400
        assert quotes[0].allowances[0].remaining == COST - 1
        assert (quotes[1].retry_after_s, quotes[1].allowances) == (0, ())
        with pytest.raises(QuotaExceededError):
            queue.submit(RESOLVED, caller="bob")
        assert paid().submit(RESOLVED, caller="bob").job.queue_position == quotes[1].queue_position

    def test_nothing_is_stored_for_it(self, redis: Redis) -> None:
        Ledger(redis).quote(RESOLVED, payer(Quota(max_waiting=1)), tenant="studio", caller="")
        assert redis.keys("*") == []


def test_a_tenant_s_weight_divides_the_work(paid: Make, leases: Leases, queue: JobQueue) -> None:
    heavy = paid(weight=3)
    other = queue.seen_by(View("other", is_whole=False))
    three = {heavy.submit(RESOLVED).job.id for _ in range(12)}
    one = {other.submit(RESOLVED).job.id for _ in range(12)}
    first = [lease.job_id for _ in range(8) if (lease := leases.claim_next()) is not None]
    assert 5 <= len(three.intersection(first)) <= 7
    assert one.intersection(first)
