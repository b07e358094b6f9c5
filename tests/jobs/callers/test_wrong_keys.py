"""How many wrong keys an address may try."""

import time

import pytest

from jobs.callers import wrong_keys
from jobs.callers.wrong_keys import WrongKeys

HERE = "203.0.113.7"


def tried(wrong: WrongKeys, address: str, number: int, first: int = 0) -> None:
    for index in range(first, first + number):
        wrong.note(address, f"key {index}")


def test_after_so_many_different_keys_an_address_waits_for_the_next() -> None:
    wrong = WrongKeys(most=3)
    tried(wrong, HERE, 2)
    assert wrong.wait_s(HERE, "new") == 0
    tried(wrong, HERE, 3)
    assert 59 < wrong.wait_s(HERE, "new") <= 60
    assert wrong.wait_s("203.0.113.8", "new") == 0


def test_one_wrong_key_counts_once_however_often_it_comes() -> None:
    wrong = WrongKeys(most=2)
    for _ in range(50):
        wrong.note(HERE, "stale")
    assert wrong.wait_s(HERE, "new") == 0
    tried(wrong, HERE, 1)
    assert wrong.wait_s(HERE, "new") > 0
    assert wrong.wait_s(HERE, "stale") == 0  # it is told that it is wrong, as before


def test_what_is_past_is_forgotten() -> None:
    wrong = WrongKeys(window_s=0.5, most=2)
    tried(wrong, HERE, 2)
    wait_s = wrong.wait_s(HERE, "new")
    assert 0 < wait_s <= 0.5
    time.sleep(wait_s + 0.005)
    assert wrong.wait_s(HERE, "new") == 0


def test_an_address_that_nobody_knows_is_not_counted() -> None:
    wrong = WrongKeys(most=1)
    wrong.note(None, "a")
    assert wrong.wait_s(None, "b") == 0


def test_of_ipv6_addresses_a_client_s_whole_network_counts() -> None:
    wrong = WrongKeys(most=2)
    for number in range(2):
        wrong.note(f"2001:db8:1:2::{number}", f"key {number}")
    assert wrong.wait_s("2001:db8:1:2:ffff::1", "new") > 0
    assert wrong.wait_s("2001:db8:1:3::1", "new") == 0


def test_it_remembers_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_ADDRESSES", 5)
    wrong = WrongKeys(most=3)
    for number in range(20):
        tried(wrong, f"198.51.100.{number}", 10)
    assert len(wrong._tried) == 5
    assert max(map(len, wrong._tried.values())) == 3
    assert wrong.wait_s("198.51.100.0", "new") == 0
    assert wrong.wait_s("198.51.100.19", "new") > 0
