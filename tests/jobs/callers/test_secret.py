"""The text of a key."""

import re
from dataclasses import replace

import pytest

from jobs.callers.secret import KeyText, draw_key, parse_key


def test_a_key_is_its_prefix_an_id_a_secret_and_a_checksum() -> None:
    text = str(draw_key())
    assert re.fullmatch(r"lsk_[0-9A-Za-z]{10}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}", text)


def test_a_key_is_read_back() -> None:
    key = draw_key()
    assert parse_key(str(key)) == key


def test_no_two_keys_are_alike() -> None:
    assert len({str(draw_key()) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("place", range(len(str(KeyText("a" * 10, "b" * 32)))))
def test_a_key_with_one_wrong_character_is_none(place: int) -> None:
    text = str(draw_key())
    wrong = "x" if text[place] != "x" else "y"
    assert parse_key(text[:place] + wrong + text[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "lsk_", "sk-abc", "lsk_a_b_c", "é" * 54, "lsk_" + "0" * 10_000])
def test_other_texts_are_no_keys(text: str) -> None:
    assert parse_key(text) is None


def test_a_line_end_is_not_part_of_a_key() -> None:
    assert parse_key(f"{draw_key()}\n") is None


def test_the_secret_is_in_no_representation_of_a_key() -> None:
    key = draw_key()
    assert key.secret not in repr(key)
    assert key.secret not in repr({"key": key})


def test_what_is_kept_of_a_secret_is_its_digest() -> None:
    key = draw_key()
    assert re.fullmatch("[0-9a-f]{64}", key.sha256)
    assert replace(key, secret="a" * 32).sha256 != key.sha256
