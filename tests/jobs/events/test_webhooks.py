"""The order of webhook messages, on a real server."""

import time

import pytest
from redis import Redis

from jobs.events.webhooks import MOST_PER_CALLER, MOST_PER_HOST, Delivery, WebhookQueue

Fields = dict[bytes | bytearray | memoryview | str | int | float, str | int]


@pytest.fixture
def owed(redis: Redis) -> WebhookQueue:
    """The queue."""
    return WebhookQueue(redis)


def owe(
    redis: Redis, *messages: str, host: str = "hooks.example", caller: str = "anonymous", age_s: float = 0
) -> None:
    """Owe messages as a job's end does, now or a while ago."""
    now_us = int(redis.time()[0]) * 1_000_000 + int(redis.time()[1]) - int(age_s * 1e6)
    with redis.pipeline(transaction=False) as pipeline:
        for number, message in enumerate(messages):
            url = f"http://{host}/hook?x=http://other.example/"
            record: Fields = {"webhook_url": url, "flow": f"{caller}:normal", "webhook_message": message}
            pipeline.hset(f"{{lodestar}}:job:{message}", mapping=record)
            delivery: Fields = {"job_id": message, "event": "done", "attempts": 0, "owed_us": now_us + number}
            pipeline.hset(f"{{lodestar}}:webhook:{message}", mapping=delivery)
            pipeline.zadd("{lodestar}:webhooks", {message: now_us + number})
        pipeline.execute()


def take_all(owed: WebhookQueue) -> list[Delivery]:
    """Take messages until no more can be had."""
    taken = []
    while (delivery := owed.take()) is not None:
        taken.append(delivery)
    return taken


def ids(taken: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in taken]


def until_taken(owed: WebhookQueue, within_s: float = 30) -> Delivery:
    end = time.monotonic() + within_s
    while (delivery := owed.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return delivery


def test_one_host_gets_two_at_a_time_and_the_oldest_first(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, "a", "b", "c", "d")
    first, second = take_all(owed)
    assert ids([first, second]) == ["a", "b"]
    owed.delivered(second)
    assert ids(take_all(owed)) == ["c"]
    owed.retry(first, 0, "the receiver answered 500")
    assert ids(take_all(owed)) == ["d"]


def test_ports_and_schemes_are_hosts_of_their_own(redis: Redis, owed: WebhookQueue) -> None:
    for host in ("a.example", "a.example:8443", "b.example"):
        owe(redis, *(f"{host}-{n}" for n in range(5)), host=host)
    assert len(take_all(owed)) == 3 * MOST_PER_HOST


def test_one_caller_gets_half_of_the_slots_whatever_number_of_hosts_and_priorities(
    redis: Redis, owed: WebhookQueue
) -> None:
    for number in range(40):
        owe(redis, f"m{number}", host=f"{number}.example", caller="mallory")
    redis.hset("{lodestar}:job:m3", "flow", "mallory:high")
    mallorys = take_all(owed)
    assert len(mallorys) == MOST_PER_CALLER
    owe(redis, "b", host="3.example", caller="bob")
    assert ids(take_all(owed)) == ["b"]
    owed.delivered(mallorys[0])
    assert len(take_all(owed)) == 1


def test_the_hosts_of_a_caller_take_turns(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, "a1", "a2", "a3", host="a.example")
    owe(redis, "b1", "b2", host="b.example")
    taken = []
    while (delivery := owed.take()) is not None:
        taken.append(delivery.message_id)
        owed.delivered(delivery)
    assert taken[:4] in (["a1", "b1", "a2", "b2"], ["b1", "a1", "b2", "a2"])
    assert taken[4:] == ["a3"]


def test_callers_that_share_a_host_take_turns(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, *(f"m{number}" for number in range(50)), caller="mallory")
    mallorys = take_all(owed)
    owe(redis, "b", caller="bob")
    assert owed.take() is None
    seen = 0
    while True:  # as soon as it is looked at again, half a second later at most
        owed.delivered(mallorys.pop())
        delivery = until_taken(owed)
        if delivery.message_id == "b":
            break
        seen += 1
        mallorys.append(delivery)
        time.sleep(0.05)
    assert seen < 30


def test_a_host_that_does_not_answer_is_left_alone_for_longer_each_time_and_then_tried_by_one(
    redis: Redis, owed: WebhookQueue
) -> None:
    owe(redis, *(f"m{number}" for number in range(10)))
    first, second = take_all(owed)
    begin = time.monotonic()
    owed.retry(first, 3600, "no answer within 15 s", is_silent=True)
    owed.retry(second, 3600, "no answer within 15 s", is_silent=True)
    assert owed.take() is None
    third = until_taken(owed)
    assert time.monotonic() - begin > 1
    assert owed.take() is None
    owed.delivered(third)
    assert len(take_all(owed)) == MOST_PER_HOST


def test_a_host_that_is_silent_for_one_caller_is_not_for_another(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, *(f"m{number}" for number in range(10)), caller="mallory")
    for delivery in take_all(owed):
        owed.retry(delivery, 3600, "no answer within 15 s", is_silent=True)
    owe(redis, "b", "c", caller="bob")
    assert ids(take_all(owed)) == ["b", "c"]


def test_ten_thousand_messages_of_one_dead_host_are_looked_at_once(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, *(f"m{number}" for number in range(10_000)), caller="mallory")
    owe(redis, "b", host="bob.example", caller="bob")
    taken = [owed.take() for _ in range(3)]
    assert "b" in ids([delivery for delivery in taken if delivery])
    before = _commands(redis)
    for _ in range(20):
        owed.take()
    assert (_commands(redis) - before) / 20 < 30
    assert owed.pending() == 10_001


def test_a_thousand_dead_hosts_of_one_caller_hold_up_nobody(redis: Redis, owed: WebhookQueue) -> None:
    for number in range(1000):
        owe(redis, f"m{number}", host=f"{number}.example", caller="mallory")
    for _ in range(125):
        for delivery in take_all(owed):
            owed.retry(delivery, 3600, "no connection", is_silent=True)
    owe(redis, "b", host="bob.example", caller="bob")
    assert ids(take_all(owed)) == ["b"]


def test_what_a_process_had_in_hand_when_it_died_comes_back_and_holds_no_slot(
    redis: Redis, owed: WebhookQueue
) -> None:
    owe(redis, "a", "b", "c")
    assert ids(take_all(WebhookQueue(redis, lease_s=0.5))) == ["a", "b"]
    assert owed.take() is None
    attempts = {}
    for _ in range(3):
        delivery = until_taken(owed)
        attempts[delivery.message_id] = delivery.attempt
        owed.delivered(delivery)
    assert attempts == {"a": 2, "b": 2, "c": 1}
    assert owed.pending() == 0


def test_only_who_took_a_message_last_settles_it(redis: Redis) -> None:
    owe(redis, "a")
    late = WebhookQueue(redis, lease_s=0).take()
    owed = WebhookQueue(redis)
    current = owed.take()
    assert late is not None
    assert current is not None
    owed.give_up(late, "too late")
    assert owed.pending() == 1
    assert redis.hget("{lodestar}:job:a", "webhook_status") is None
    owed.delivered(current)
    assert owed.pending() == 0
    assert redis.hget("{lodestar}:job:a", "webhook_status") == "delivered"


def test_messages_of_deleted_jobs_are_forgotten(redis: Redis, owed: WebhookQueue) -> None:
    owe(redis, *(f"m{number}" for number in range(5)))
    redis.delete(*(f"{{lodestar}}:job:m{number}" for number in range(5)))
    assert owed.take() is None
    assert redis.keys("{lodestar}:webhook*") == []


def test_a_message_that_waits_a_day_for_a_host_that_never_answers_is_given_up(
    redis: Redis, owed: WebhookQueue
) -> None:
    owe(redis, "old", "older", "oldest", age_s=25 * 3600)
    for delivery in take_all(owed):
        owed.give_up(delivery, "no answer within 15 s", is_silent=True)
    left = str(redis.zrange("{lodestar}:webhooks", 0, 0)[0])
    redis.zincrby("{lodestar}:webhooks", -3600 * 1_000_000, left)  # an hour later, the line is looked after
    assert owed.take() is None
    assert owed.pending() == 0
    job = redis.hgetall(f"{{lodestar}}:job:{left}")
    assert (job["webhook_status"], job["webhook_error"]) == ("failed", "nobody has answered for a day")


def test_a_message_is_sent_however_old_it_is_when_nobody_was_there_to_send_it(
    redis: Redis, owed: WebhookQueue
) -> None:
    owe(redis, "a", age_s=48 * 3600)
    assert ids(take_all(owed)) == ["a"]


def test_nothing_is_left_of_messages_that_were_delivered(redis: Redis, owed: WebhookQueue) -> None:
    for number in range(20):
        owe(redis, f"m{number}", host=f"{number % 3}.example", caller=f"c{number % 2}")
    end = time.monotonic() + 30
    while redis.keys("{lodestar}:webhook*"):
        for delivery in take_all(owed):
            owed.delivered(delivery)
        assert time.monotonic() < end


def _commands(redis: Redis) -> int:
    """Commands that the server has run, those within scripts among them."""
    stats = redis.info("commandstats")
    return sum(each["calls"] for each in stats.values())
