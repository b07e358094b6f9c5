"""A night in one line: what is left, what was made, what is kept."""

import sys
from typing import TextIO

from jobs.status.night import Night, NightStatus


def line_of(night: Night) -> str:
    """The night in one line."""
    parts = [_state(night), f"{night.made} made"]
    if night.failed:
        parts.append(f"{night.failed} failed")
    if night.kept:
        best, worst = night.kept[0].score, night.kept[-1].score
        scores = f"{best:.3f}" if night.num_kept == 1 else f"{best:.3f} to {worst:.3f}"
        parts.append(f"{night.num_kept} kept, {night.by} {scores}")
    if night.waits_for:
        parts.append(f"waits: {night.waits_for}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time in words."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {left:02d} s" if minutes else f"{left} s"


def _state(night: Night) -> str:
    if night.status is NightStatus.RUNNING:
        return f"{duration(night.left_s)} left"
    if night.status is NightStatus.FINISHING and night.upscale:
        return f"finishing: {night.enlarged} of {night.num_kept} enlarged"
    return str(night.status)


class NightLine:
    """Shows a night on stderr: one line that changes on a terminal, elsewhere a line for each new status."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Nothing is shown yet."""
        self._stream = stream or sys.stderr
        self._length = 0
        self._said = ""

    def __call__(self, night: Night) -> None:
        """Show the night as it is now."""
        if self._stream.isatty():
            line = line_of(night)
            self._stream.write("\r" + line.ljust(self._length))
            self._length = len(line)
        elif night.status != self._said:
            self._stream.write(f"night {night.id}: {line_of(night)}\n")
        self._said = night.status
        self._stream.flush()

    def close(self) -> None:
        """End the line."""
        if self._length:
            self._stream.write("\n")
            self._stream.flush()
            self._length = 0
