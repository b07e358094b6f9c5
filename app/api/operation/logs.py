"""Log lines: structlog's and the standard library's, in one format."""

import logging
import sys
import time
from collections import Counter
from typing import Literal, TextIO

import structlog

MOST_ALIKE = 10
WINDOW_S = 60.0

LogFormat = Literal["auto", "console", "json"]


def configure_logs(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Set the format of every log line of this process; call it once, in the entry point.

    Args:
        log_format: auto is console if the stream is a terminal, else json.
        level: least severity that is written.
        stream: where the lines go; stderr if left out.
    """
    stream = stream or sys.stderr
    if log_format == "auto":
        log_format = "console" if stream.isatty() else "json"
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format, colors=stream.isatty()),
            ],
        )
    )
    handler.addFilter(_Repetitions())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


class _Repetitions(logging.Filter):
    """Limits the rate of each kind of library warning, of which ten thousand may come in a second."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._window_ends = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if not isinstance(record.msg, str) or record.levelno < logging.WARNING:
            return True  # ours, of which each tells something; a structlog record carries a dict
        now = time.monotonic()
        if now >= self._window_ends:
            self._counts.clear()
            self._window_ends = now + WINDOW_S
        kind = (record.name, record.msg[:200])
        self._counts[kind] += 1
        if self._counts[kind] == MOST_ALIKE:
            record.msg += " (more of these are not written for up to a minute)"
        return self._counts[kind] <= MOST_ALIKE


def _renderers(log_format: LogFormat, *, colors: bool) -> list[structlog.types.Processor]:
    if log_format == "console":
        return [
            structlog.dev.ConsoleRenderer(
                colors=colors,
                # The default prints the values of local variables, including prompts and passwords.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
