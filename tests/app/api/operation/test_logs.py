"""Log lines: what repeats without end is not written without end."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from app.api.operation import logs

Lines = Callable[[], list[dict[str, Any]]]


def test_a_library_that_warns_ten_thousand_times_writes_ten_lines(json_logs: Lines) -> None:
    for number in range(10_000):
        logging.getLogger("asyncio").error("socket.accept() out of system resource", exc_info=OSError(number))
    logging.getLogger("asyncio").error("another thing")
    lines = [line["event"] for line in json_logs()]
    assert len(lines) == logs.MOST_ALIKE + 1
    assert "not written for up to a minute" in lines[-2]
    assert lines[-1] == "another thing"


def test_the_next_minute_tells_of_it_again(json_logs: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "WINDOW_S", 0.0)
    for _ in range(100):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert len(json_logs()) == 100


def test_each_of_our_own_lines_is_written(json_logs: Lines) -> None:
    for number in range(50):
        structlog.get_logger("app").warning("webhook message not accepted", message=number)
        logging.getLogger("library").info("at work")
    assert len(json_logs()) == 100
