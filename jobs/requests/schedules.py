"""Numbers that change over a run, in the notation of Disco Diffusion: ``[12]*400+[4]*600``.

    schedule = number | part { "+" part }
    part     = "[" number { "," number } "]" [ "*" count ]

Disco evaluated these texts as Python. This module parses them.
"""

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

MAX_CUTOUTS = 256
MAX_SCHEDULE_CHARS = 500
MAX_LENGTH = 10_000
_REMEMBERED = 64  # recently parsed texts; every step of every picture asks again
_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_ALONE = re.compile(_NUMBER)
_PART = re.compile(rf"\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER})*)\s*\]\s*(?:\*\s*(\d{{1,12}}))?")
_WHOLE = r"[0-9]{1,6}(?:\.0{1,6})?"
_WHOLE_PART = rf"\s*\[\s*{_WHOLE}(?:\s*,\s*{_WHOLE})*\s*\]\s*(?:\*\s*[0-9]{{1,6}}\s*)?"
# A schedule of cutouts in a JSON schema.
PATTERN = rf"^(?:\s*{_WHOLE}\s*|{_WHOLE_PART}(?:\+{_WHOLE_PART})*)$"

CutSchedule = tuple[float, ...]


def _number_as_text(value: object) -> object:
    if isinstance(value, float) and value.is_integer():  # JSON makes no difference between 4.0 and 4
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_too_long(text: str) -> str:
    if len(text) > MAX_SCHEDULE_CHARS:
        raise ValueError(f"a schedule has at most {MAX_SCHEDULE_CHARS} characters")
    return text


# A number is a schedule too. Read as one type, so that a refusal names the field and not the types it might have had.
CutScheduleText = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_not_too_long),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_CUTOUTS},
                {"type": "string", "maxLength": MAX_SCHEDULE_CHARS, "pattern": PATTERN},
            ]
        }
    ),
]


@lru_cache(_REMEMBERED)
def parse_schedule(text: str) -> CutSchedule:
    """The values of a schedule, each for an equal part of the run. A number alone holds throughout.

    Raises:
        ValueError: the text is no schedule; the message names the part that is none.
    """
    text = text.strip()
    if _ALONE.fullmatch(text):
        return (float(text),)
    values: list[float] = []
    for part in text.split("+"):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ValueError(
                f"{part.strip()!r} is not of a schedule: write a number, or parts like [12]*400 joined by +"
            )
        numbers = [float(number.strip()) for number in found[1].split(",")]
        count = int(found[2] or 1)
        if len(values) + len(numbers) * count > MAX_LENGTH:
            raise ValueError(f"a schedule has at most {MAX_LENGTH} values")
        values += numbers * count
    if not values:
        raise ValueError("a schedule has at least one value")
    return tuple(values)


def value_at(schedule: CutSchedule, progress: float) -> float:
    """The value at a time of the run, from 0 (pure noise) to 1 (finished)."""
    return schedule[min(int(progress * len(schedule)), len(schedule) - 1)]


@lru_cache(_REMEMBERED)
def most_cutouts(overview: str, inner: str) -> int:
    """The largest number of cutouts at any step.

    Args:
        overview: schedule of cutouts of the whole picture.
        inner: schedule of crops.

    Raises:
        ValueError: one is no schedule, a number is not whole, or no step has any.
    """
    schedules = [parse_schedule(text) for text in (overview, inner)]
    for value in (value for schedule in schedules for value in schedule):
        if not value.is_integer():
            raise ValueError(f"{value:g} cutouts cannot be made: the number of cutouts is whole")
    # Between two breaks of either schedule nothing changes, so both ends of each part are enough.
    times = {index / len(schedule) for schedule in schedules for index in range(len(schedule))}
    most = max(int(sum(value_at(schedule, time) for schedule in schedules)) for time in times)
    if most == 0:
        raise ValueError("overview_cuts and inner_cuts are both zero throughout: CLIP would see nothing")
    return most


def split_cutouts(cutouts: int, overview: str, inner: str, progress: float) -> tuple[int, int]:
    """The numbers of overviews and of inner crops at a time of the run.

    Args:
        cutouts: cutouts at the step that has most; the schedules' own numbers are proportions of it.
        overview: schedule of cutouts of the whole picture.
        inner: schedule of crops.
        progress: from 0 (pure noise) to 1 (finished).
    """
    wide, narrow = (value_at(parse_schedule(text), progress) for text in (overview, inner))
    total = round(cutouts * (wide + narrow) / most_cutouts(overview, inner))
    overviews = round(total * wide / (wide + narrow)) if wide + narrow else 0
    return overviews, total - overviews
