"""The order of the queue."""

import re
import time
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from redis import Redis

from jobs.catalog.catalog import Catalog
from jobs.db.scripts import PREFIX
from jobs.queue.leases import Lease, Leases
from jobs.queue.order import cost_of, flow_of
from jobs.queue.queue import JobQueue
from jobs.queue.reaper import Reaper
from jobs.queue.workers import WorkerRegistry
from jobs.requests.conditions.adapters import ResolvedAdapter
from jobs.requests.conditions.controls import ResolvedControl
from jobs.requests.conditions.image_prompts import ResolvedImagePrompt
from jobs.requests.conditions.maps import Preprocessor
from jobs.requests.enlarging import ResolvedUpscale
from jobs.requests.guidance import ResolvedGuidance
from jobs.requests.personalization import ResolvedPersonalization
from jobs.requests.pictures import Picture, Thumbnail
from jobs.requests.request import GenerateRequest, Priority, ResolvedRequest
from jobs.requests.samplers import SamplerName
from jobs.requests.tasks import EmbeddingTask, EnlargeTask, LargerPicture, QueryTask, ScoreTask
from jobs.resolve.request import resolve
from jobs.status.job import JobStatus
from tests.jobs.queue.test_workers import worker
from tests.jobs.samples import RESOLVED, claimed, pictures_of, resolved

GUIDANCE_PAGE = Path(__file__).parents[3] / "docs" / "guidance.md"


def asking(**fields: object) -> ResolvedRequest:
    return RESOLVED.model_copy(update=fields)


def guidance(catalog: Catalog, **fields: object) -> ResolvedGuidance | None:
    wanted = GenerateRequest.model_validate({"prompt": "a red apple", "guidance": fields})
    return resolve(wanted, catalog).guidance


def guided(catalog: Catalog, **fields: object) -> int:
    """The cost of a job with this guidance."""
    return cost_of(asking(guidance=guidance(catalog, **fields)))


def submit(queue: JobQueue, count: int, caller: str = "", **fields: object) -> list[str]:
    """Ids of new jobs of one caller."""
    return [queue.submit(asking(**fields), caller=caller).job.id for _ in range(count)]


def take_next(leases: Leases, models: tuple[str, ...] = ()) -> Lease:
    lease = leases.claim_next(models)
    assert lease is not None
    return lease


def a_minute_passes(redis: Redis, job_id: str) -> None:
    """The same to a job that was passed over as if it waited a minute more."""
    redis.hincrby(f"{PREFIX}job:{job_id}", "passed_us", -60_000_000)


def served(leases: Leases, count: int) -> list[str]:
    """The next jobs in the order in which workers get them."""
    return [take_next(leases).job_id for _ in range(count)]


# Time of an average step in units of unguided ones, by docs/guidance.md.
COSTS = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", GUIDANCE_PAGE.read_text(encoding="utf-8"), re.MULTILINE)


class TestCost:
    def test_it_grows_with_all_that_is_to_be_done(self) -> None:
        plain = cost_of(RESOLVED)
        assert plain == pytest.approx(25 * 2, abs=2)
        assert cost_of(asking(steps=50)) == plain + 50
        assert cost_of(asking(num_images=3)) == pytest.approx(3 * plain, abs=2)
        assert cost_of(asking(cfg_scale=1.0)) == plain - 25
        assert cost_of(asking(width=128, height=128)) == pytest.approx(4 * plain, abs=3)
        assert cost_of(asking(sampler=SamplerName.HEUN)) == plain + 24 * 2
        assert cost_of(asking(preview_every_steps=2)) == pytest.approx(plain + 11, abs=1)
        assert cost_of(asking(upscale=ResolvedUpscale(factor=4, model="x4plus"))) == plain + 40

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("cutouts", 96),
            ("smoothing_samples", 16),
            ("recurrences", 2),
            ("iterations", 2),
            ("rho", 1.0),
            (
                "objectives",
                [{"type": "text", "text": "a", "clip": clip} for clip in ("pocket-m", "pocket-s")],
            ),
        ],
    )
    def test_each_thing_that_multiplies_the_work_is_counted(
        self, name: str, value: object, catalog: Catalog
    ) -> None:
        base = {"preset": "SLOW", "smoothing": 0.1}
        assert guided(catalog, **{**base, name: value}) > 1.3 * guided(catalog, **base)

    def test_what_is_not_guided_is_not_counted(self, catalog: Catalog) -> None:
        whole = guided(catalog, preset="laion") - cost_of(RESOLVED)
        assert guided(catalog, preset="laion", stride=2) - cost_of(RESOLVED) == pytest.approx(
            whole * 13 / 25, rel=0.02
        )
        assert guided(catalog, preset="laion", end=0.5) == guided(catalog, preset="laion", stride=2)
        assert guided(catalog, scale=0) == cost_of(RESOLVED)
        assert guided(catalog, decoder="linear", cutouts=1) < guided(catalog, cutouts=1)

    @pytest.mark.parametrize(("preset", "cost"), COSTS)
    def test_presets_cost_what_was_measured(self, preset: str, cost: str, catalog: Catalog) -> None:
        ratio = guided(catalog, preset=preset) / cost_of(RESOLVED)
        assert ratio == pytest.approx(float(cost), rel=1 / 3)

    def test_every_measured_preset_is_looked_at(self) -> None:
        assert {"laion", "universal", "tfg"} < {preset for preset, _ in COSTS}

    def test_a_schedule_of_many_values_is_read_once(self, catalog: Catalog) -> None:
        begun = time.process_time()  # not the clock's: what else the machine does is not counted
        cost_of(
            asking(steps=250, guidance=guidance(catalog, overview_cuts="[12]*4999+[4]*5000", inner_cuts="1"))
        )
        assert time.process_time() - begun < 2

    def test_personalization_adds_its_steps_for_each_window_of_the_prompt(self) -> None:
        asked = ResolvedPersonalization(
            embedding="warm",
            digest="d",
            steps=10,
            lr=1e-4,
            weight=1.0,
            blend="lerp",
            text=None,
            text_angle=0.0,
            text_negative=False,
        )
        tuned = cost_of(asking(personalization=asked)) - cost_of(RESOLVED)
        assert (
            cost_of(asking(personalization=asked, num_images=3)) - cost_of(asking(num_images=3))
            == tuned
            == 10
        )
        long = "a red apple " * 100
        assert cost_of(asking(personalization=asked, prompt=long)) - cost_of(asking(prompt=long)) == 4 * tuned
        assert cost_of(asking(personalization=asked, prompt="")) - cost_of(asking(prompt="")) == tuned
        idle = asked.model_copy(update={"weight": 0.0})
        assert cost_of(asking(personalization=idle)) == cost_of(RESOLVED)

    def test_a_task_costs_little_and_by_its_pictures(self) -> None:
        one = ScoreTask(clip="pocket-m", pictures=("a",))
        many = one.model_copy(update={"pictures": ("a",) * 64})
        assert cost_of(QueryTask(clip="pocket-m", text="x")) == cost_of(one) == 1
        assert 1 < cost_of(many) < cost_of(RESOLVED)
        made = EmbeddingTask(clip="pocket-m", name="x", pictures=("a",) * 32, minus=("b",) * 32)
        assert cost_of(made) == cost_of(many)

    def test_enlarging_a_brought_picture_costs_as_much_as_enlarging_a_made_one(self) -> None:
        asked = ResolvedUpscale(factor=4, model="x4plus")
        brought = LargerPicture(key="a", pixels=64 * 64, width=9, height=9)
        task = EnlargeTask(network="x4plus", pictures=(brought,) * 3)
        assert cost_of(task) == cost_of(asking(num_images=3, upscale=asked)) - cost_of(asking(num_images=3))

    def test_adapters_and_controls_are_charged_by_the_row(self) -> None:
        adapter = ResolvedAdapter(name="ink", weight=1, text_weight=1)
        image = Picture.kept_as("0" * 64)
        control = ResolvedControl(model="edges", image=image, preprocess=Preprocessor.NONE)
        plain = cost_of(asking())
        adapted, controlled = cost_of(asking(adapters=(adapter,))), cost_of(asking(controls=(control,)))
        assert plain < adapted < controlled
        assert cost_of(asking(controls=(control,) * 2)) - controlled == pytest.approx(
            controlled - plain, abs=1
        )

    def test_image_prompts_are_charged_by_the_row_and_their_encodings_once(self) -> None:
        image = Thumbnail.kept_as("0" * 64)
        prompt = ResolvedImagePrompt(image=image, adapter="look", weight=1)
        plain, one = cost_of(asking()), cost_of(asking(image_prompts=(prompt,)))
        four = cost_of(asking(image_prompts=(prompt,) * 4))
        assert plain < one
        assert four - one == pytest.approx(0.75, abs=1)

    def test_it_is_a_whole_number_above_nothing(self) -> None:
        assert cost_of(asking(steps=1, cfg_scale=1.0, width=8, height=8)) == 3

    def test_a_caller_is_not_named_in_its_flow(self) -> None:
        flows = {flow_of(caller, priority) for caller, priority in product(("alice", "bob", ""), Priority)}
        assert len(flows) == 9
        assert not any("alice" in flow for flow in flows)


class TestFairness:
    def test_jobs_of_one_caller_keep_their_order(self, queue: JobQueue, leases: Leases) -> None:
        ids = submit(queue, 5)
        assert served(leases, 5) == ids
        assert leases.claim_next() is None

    def test_one_job_does_not_wait_for_another_caller_s_many(self, redis: Redis, leases: Leases) -> None:
        queue = JobQueue(redis, max_queued=1000)
        many = submit(queue, 500, "many")
        served(leases, 3)
        (one,) = submit(queue, 1, "one")
        assert queue.get(one).queue_position == 1
        assert served(leases, 2) == [many[3], one]

    def test_callers_get_equal_work_whatever_the_size_of_their_jobs(
        self, queue: JobQueue, leases: Leases
    ) -> None:
        small = submit(queue, 40, "small", steps=10)
        large = submit(queue, 40, "large", steps=40)
        counts = Counter("small" if job_id in small else "large" for job_id in served(leases, 25))
        assert counts == {"small": 20, "large": 5}
        assert set(large) & {job.id for job in queue.list(status=JobStatus.QUEUED, limit=100).data}

    def test_priorities_get_one_to_four_to_sixteen(self, queue: JobQueue, leases: Leases) -> None:
        of = {
            priority: set(submit(queue, 33, "same", priority=priority))
            for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
        }
        first = served(leases, 42)
        counts = {priority: len(ids.intersection(first)) for priority, ids in of.items()}
        assert counts == {Priority.LOW: 2, Priority.NORMAL: 8, Priority.HIGH: 32}

    def test_a_low_job_is_served_however_many_high_ones_go_on_coming(
        self, queue: JobQueue, leases: Leases
    ) -> None:
        (low,) = submit(queue, 1, priority=Priority.LOW)
        for number in range(60):
            submit(queue, 2, f"caller {number % 3}", priority=Priority.HIGH)
            if take_next(leases).job_id == low:
                return
        pytest.fail("it waits still")

    def test_a_caller_that_was_idle_has_saved_nothing_up(self, queue: JobQueue, leases: Leases) -> None:
        submit(queue, 1, "idle")
        busy = submit(queue, 20, "busy")
        served(leases, 10)
        idle = submit(queue, 10, "idle")
        counts = Counter(job_id in idle for job_id in served(leases, 10))
        assert counts == {True: 5, False: 5}
        assert busy

    def test_canceled_jobs_are_not_held_against_their_caller(self, queue: JobQueue, leases: Leases) -> None:
        for job_id in submit(queue, 20, "fickle"):
            queue.cancel(job_id)
        for job_id in submit(queue, 20, "fickle"):
            queue.delete(job_id)
        submit(queue, 5, "other")
        (job_id,) = submit(queue, 1, "fickle")
        # It is level with the other caller's first job; chance decides between those two.
        assert queue.get(job_id).queue_position in {0, 1}

    def test_flows_that_have_nothing_waiting_are_forgotten(
        self, redis: Redis, queue: JobQueue, leases: Leases
    ) -> None:
        for number in range(50):
            submit(queue, 1, f"caller {number}")
            take_next(leases)
        assert redis.zcard(PREFIX + "flows") <= 1

    def test_a_job_that_comes_back_keeps_its_place(self, queue: JobQueue, leases: Leases) -> None:
        first, *_rest = submit(queue, 3)
        lease = take_next(leases)
        leases.release(lease)
        assert queue.get(first).queue_position == 0
        assert take_next(leases).job_id == first

    def test_the_work_that_waits_is_added_up(self, redis: Redis, queue: JobQueue, leases: Leases) -> None:
        canceled, deleted, released, _stays = submit(queue, 4)
        assert queue.backlog().cost == 4 * cost_of(RESOLVED)
        queue.cancel(canceled)
        queue.delete(deleted)
        lease = take_next(leases)
        assert (lease.job_id, queue.backlog().jobs, queue.backlog().cost) == (released, 1, cost_of(RESOLVED))
        leases.release(lease)
        assert (queue.backlog().jobs, queue.backlog().cost) == (2, 2 * cost_of(RESOLVED))


class TestModels:
    @pytest.fixture
    def patient(self, redis: Redis) -> Leases:
        """A worker of long patience."""
        return Leases(redis, worker="patient", model_patience_s=60)

    def test_a_job_whose_model_is_loaded_goes_first(self, queue: JobQueue, patient: Leases) -> None:
        (other,) = submit(queue, 1, model="big")
        (loaded,) = submit(queue, 1, model="pocket")
        assert take_next(patient, ("pocket", "pocket-m")).job_id == loaded
        assert take_next(patient, ("pocket", "pocket-m")).job_id == other

    def test_but_nothing_is_passed_over_for_ever(
        self, redis: Redis, queue: JobQueue, patient: Leases
    ) -> None:
        (other,) = submit(queue, 1, model="big")
        loaded = submit(queue, 3, model="pocket")
        assert take_next(patient, ("pocket",)).job_id == loaded[0]
        a_minute_passes(redis, other)
        assert take_next(patient, ("pocket",)).job_id == other

    def test_it_is_left_to_a_worker_that_has_its_model_and_room(
        self, redis: Redis, queue: JobQueue, patient: Leases
    ) -> None:
        registry = WorkerRegistry(redis)
        registry.announce(worker("holder").model_copy(update={"models": ("big",), "room": 1}))
        (other,) = submit(queue, 1, model="big")
        assert patient.claim_next(("pocket",)) is None
        a_minute_passes(redis, other)
        assert take_next(patient, ("pocket",)).job_id == other

    @pytest.mark.parametrize("ending", ["full", "gone"])
    def test_a_worker_that_is_full_or_gone_is_not_waited_for(
        self, redis: Redis, queue: JobQueue, patient: Leases, ending: str
    ) -> None:
        registry = WorkerRegistry(redis)
        holder = worker("holder").model_copy(update={"models": ("big",), "room": 1})
        registry.announce(holder)
        if ending == "full":
            registry.announce(holder.model_copy(update={"room": 0}))
        else:
            registry.leave("holder")
        (other,) = submit(queue, 1, model="big")
        assert take_next(patient, ("pocket",)).job_id == other

    def test_a_worker_with_nothing_loaded_takes_what_is_first(self, queue: JobQueue, patient: Leases) -> None:
        ids = submit(queue, 1, model="big") + submit(queue, 1, model="pocket")
        assert served(patient, 2) == ids


class TestQuarantine:
    """A job that was lost with its worker, and was not its only one, runs alone."""

    @pytest.fixture
    def ids(self, queue: JobQueue, doomed: Leases, reaper: Reaper) -> list[str]:
        """Three jobs that were lost together."""
        ids = submit(queue, 3)
        served(doomed, 3)
        reaper.sweep()
        return ids

    def test_none_of_them_is_charged(self, ids: list[str], queue: JobQueue) -> None:
        jobs = [queue.get(job_id) for job_id in ids]
        assert [(job.status, job.attempts, job.starts) for job in jobs] == [(JobStatus.QUEUED, 0, 1)] * 3

    def test_each_is_run_alone(self, ids: list[str], queue: JobQueue, leases: Leases) -> None:
        ordinary = submit(queue, 2)
        lease = take_next(leases)
        assert (lease.job_id, lease.alone) == (ids[0], True)
        assert leases.claim_next() is None
        leases.succeed(lease, pictures_of(lease))
        assert take_next(leases).job_id == ids[1]
        assert queue.get(ordinary[0]).status is JobStatus.QUEUED

    def test_a_worker_that_holds_others_takes_none(
        self, ids: list[str], queue: JobQueue, redis: Redis
    ) -> None:
        (ordinary,) = submit(queue, 1)
        busy = Leases(redis, worker="busy")
        claimed(busy, ordinary)
        (another,) = submit(queue, 1)
        assert take_next(busy).job_id == another
        assert busy.claim_next() is None

    def test_one_busy_worker_empties_itself_for_the_first_of_them(
        self, ids: list[str], queue: JobQueue, redis: Redis
    ) -> None:
        one, two = (Leases(redis, worker=name, model_patience_s=60) for name in ("one", "two"))
        ordinary = submit(queue, 8)
        held = {each: claimed(each, job_id) for each, job_id in zip((one, two), ordinary, strict=False)}
        take_next(one)  # meets the quarantined jobs, and passes them over for now
        a_minute_passes(redis, ids[0])
        assert one.claim_next() is None
        assert take_next(two).job_id in ordinary  # goes on, past the one that is taken care of
        assert one.claim_next() is None
        for lease in (held[one], *_held_by(redis, "one", one)):
            one.release(lease)
        assert take_next(one).job_id == ids[0]

    def test_the_guilty_one_fails_after_three_losses_and_the_others_succeed(
        self, ids: list[str], queue: JobQueue, redis: Redis, reaper: Reaper
    ) -> None:
        poison = ids[1]
        for number in range(20):
            doomed = Leases(redis, worker=f"doomed {number}", lease_s=0)
            lease = doomed.claim_next()
            if lease is None:
                break
            if lease.job_id != poison:
                doomed.succeed(lease, pictures_of(lease))
            reaper.sweep()
        jobs = [queue.get(job_id) for job_id in ids]
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.SUCCEEDED]
        assert [(job.attempts, job.starts) for job in jobs] == [(1, 2), (3, 4), (1, 2)]
        assert jobs[1].error is not None
        assert jobs[1].error.type == "attempts_exhausted"

    def test_a_worker_that_gives_up_itself_quarantines_too(self, queue: JobQueue, leases: Leases) -> None:
        ids = submit(queue, 2)
        for lease in [take_next(leases), take_next(leases)]:
            leases.surrender(lease)
        jobs = [queue.get(job_id) for job_id in ids]
        assert [(job.status, job.attempts) for job in jobs] == [(JobStatus.QUEUED, 0)] * 2
        for attempt in (1, 2, 3):
            lease = take_next(leases)
            assert (lease.job_id, lease.alone) == (ids[0], True)
            assert queue.get(ids[0]).attempts == attempt
            leases.surrender(lease)
        assert queue.get(ids[0]).status is JobStatus.FAILED

    def test_not_even_losses_without_a_charge_go_on_for_ever(
        self, queue: JobQueue, redis: Redis, reaper: Reaper
    ) -> None:
        (unlucky,) = submit(queue, 1)
        for number in range(20):
            name = f"doomed {number}"
            doomed = Leases(redis, worker=name, lease_s=0)
            if doomed.claim_next() is None:
                break
            # A neighbour beside it each time, as if it had not been set apart.
            redis.sadd(f"{PREFIX}held:{name}", "neighbour")
            reaper.sweep()
        job = queue.get(unlucky)
        assert (job.status, job.attempts, job.starts) == (JobStatus.FAILED, 0, 10)


def _held_by(redis: Redis, name: str, leases: Leases) -> list[Lease]:
    """The jobs that a worker holds, by its fences."""
    ids = [str(job_id) for job_id in redis.smembers(f"{PREFIX}held:{name}")]
    return [Lease(job_id, str(redis.hget(f"{PREFIX}job:{job_id}", "fence")), RESOLVED) for job_id in ids]


class TestRequestOfAnotherVersion:
    """Old and new workers run together while one replaces the other."""

    NEW = '{"prompt": "new", "unheard_of": 1}'

    @pytest.fixture
    def newer(self, queue: JobQueue, redis: Redis) -> list[str]:
        """More jobs of a newer version than a worker looks at, before one of this version."""
        ids = submit(queue, 70)
        for job_id in ids:
            redis.hset(f"{PREFIX}job:{job_id}", "request", self.NEW)
        return ids

    def test_they_stay_queued_and_block_nobody(
        self, newer: list[str], queue: JobQueue, redis: Redis, leases: Leases
    ) -> None:
        readable = queue.submit(resolved("this version")).job.id
        assert take_next(leases).job_id == readable
        assert leases.claim_next() is None
        assert queue.counts()[JobStatus.QUEUED] == 70
        assert redis.zcard(PREFIX + "aside") == 70
        assert (queue.backlog().jobs, queue.backlog().cost) == (0, 0)
        assert redis.hmget(f"{PREFIX}job:{newer[0]}", ["attempts", "starts"]) == ["0", "0"]

    def test_nobody_spins_on_them(self, newer: list[str], redis: Redis, leases: Leases) -> None:
        assert leases.claim_next() is None
        before = redis.hget(f"{PREFIX}job:{newer[0]}", "claims")
        for _ in range(3):
            assert leases.claim_next() is None
        assert redis.hget(f"{PREFIX}job:{newer[0]}", "claims") == before == "1"

    def test_a_worker_that_can_read_them_does_them(
        self, newer: list[str], redis: Redis, leases: Leases
    ) -> None:
        assert leases.claim_next() is None
        for job_id in newer:  # as a newer worker would see them
            redis.hset(f"{PREFIX}job:{job_id}", "request", RESOLVED.model_dump_json())
        newcomer = Leases(redis, worker="newer")
        assert take_next(newcomer).job_id in newer

    def test_they_can_be_canceled_and_deleted(
        self, newer: list[str], queue: JobQueue, redis: Redis, leases: Leases
    ) -> None:
        assert leases.claim_next() is None
        for job_id in newer:
            redis.hset(f"{PREFIX}job:{job_id}", "request", RESOLVED.model_dump_json())
        assert queue.cancel(newer[0]).status is JobStatus.CANCELED
        queue.delete(newer[1])
        assert redis.zcard(PREFIX + "aside") == 68
        assert queue.get(newer[2]).queue_position is None

    def test_the_api_shows_what_it_knows_of_them(self, queue: JobQueue, redis: Redis) -> None:
        (job_id,) = submit(queue, 1)
        newer = RESOLVED.model_dump_json()[:-1] + ', "unheard_of": 1}'
        redis.hset(f"{PREFIX}job:{job_id}", "request", newer)
        assert queue.get(job_id).request == RESOLVED
        assert [job.id for job in queue.list().data] == [job_id]
