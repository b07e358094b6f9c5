"""Prompts that change during the run, as AUTOMATIC1111's web UI writes them.

``[from:to:when]`` changes at a step, ``[to:when]`` begins there, ``[from::when]`` ends there, ``[a|b]`` takes turns at
each step. ``when`` is a share of the run if it holds a point, else a number of steps. What is not of these forms is
text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import cast

MAX_NESTED = 16  # what is nested deeper is text
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*", re.ASCII)
_PAIR = {")": "(", "]": "["}


@dataclass(frozen=True)
class _Change:
    before: "_Sequence"
    after: "_Sequence"
    step: int

    def at(self, step: int) -> str:
        return (self.before if step <= self.step else self.after).at(step)

    @property
    def depth(self) -> int:
        return 1 + max(self.before.depth, self.after.depth)

    def steps(self, steps: int) -> set[int]:
        own = {self.step} if self.step >= 1 else set()
        return own | self.before.steps(steps) | self.after.steps(steps)


@dataclass(frozen=True)
class _Turns:
    options: tuple["_Sequence", ...]

    def at(self, step: int) -> str:
        return self.options[(step - 1) % len(self.options)].at(step)

    @property
    def depth(self) -> int:
        return 1 + max(option.depth for option in self.options)

    def steps(self, steps: int) -> set[int]:
        return set(range(1, steps + 1))


@dataclass(frozen=True)
class _Sequence:
    parts: tuple["str | _Change | _Turns", ...] = ()

    def at(self, step: int) -> str:
        return "".join(part if isinstance(part, str) else part.at(step) for part in self.parts)

    @cached_property
    def depth(self) -> int:
        return max((part.depth for part in self.parts if not isinstance(part, str)), default=0)

    def steps(self, steps: int) -> set[int]:
        return {end for part in self.parts if not isinstance(part, str) for end in part.steps(steps)}


@dataclass
class _Group:
    """An open bracket, and what has come since: pieces between the separators of its own level."""

    mark: str = ""
    separators: list[str] = field(default_factory=list)
    pieces: list[list["str | _Change | _Turns"]] = field(default_factory=lambda: [[]])

    def flat(self) -> list["str | _Change | _Turns"]:
        """What it holds as text, its bracket and separators too."""
        parts: list[str | _Change | _Turns] = [self.mark, *self.pieces[0]]
        for separator, piece in zip(self.separators, self.pieces[1:], strict=True):
            parts += [separator, *piece]
        return _merged(parts)


def scheduled(text: str, steps: int) -> list[tuple[int, str]]:
    """The texts of a run, each with the number of the last step that it conditions.

    A number counts from 0; a text holds until the first step whose number is over it. So, as in the web UI, ``[a:b:3]``
    shows ``a`` at the steps 0 to 3.

    Args:
        text: of the prompt.
        steps: of the run, at least 1.
    """
    parsed = _parsed(text, steps)
    spans: list[tuple[int, str]] = []
    for end in sorted({*parsed.steps(steps), steps}):
        words = parsed.at(end)
        if spans and spans[-1][1] == words:
            spans[-1] = end, words
        else:
            spans.append((end, words))
    return spans


def _parsed(text: str, steps: int) -> _Sequence:
    groups = [_Group()]
    for token in re.finditer(r"\\.|[()\[\]:|]|[^\\()\[\]:|]+|\\", text, re.DOTALL):
        word = token[0]
        if word in "([":
            groups.append(_Group(word))
        elif word in ":|" and groups[-1].mark == "[":
            groups[-1].separators.append(word)
            groups[-1].pieces.append([])
        elif word in ")]" and groups[-1].mark == _PAIR[word]:
            closed = _closed(groups.pop(), word, steps)
            groups[-1].pieces[-1] += closed
        else:
            groups[-1].pieces[-1].append(word)
    while len(groups) > 1:  # an opening bracket without its closing one is text
        rest = groups.pop().flat()
        groups[-1].pieces[-1] += rest
    return _Sequence(tuple(groups[0].flat()))


def _closed(group: _Group, mark: str, steps: int) -> Sequence["str | _Change | _Turns"]:
    """A bracket that closes: a change, turns, or text with syntax of another kind."""
    if _depth(group) >= MAX_NESTED:
        return [_Sequence((*group.flat(), mark)).at(steps)]
    if group.separators and set(group.separators) == {"|"}:
        return [_Turns(tuple(_Sequence(tuple(piece)) for piece in group.pieces))]
    step = _step(group.pieces[-1], steps) if group.separators[-1:] == [":"] else None
    words = _parted(group)
    if step is None or len(words) > 2:
        return _merged([*group.flat(), mark])
    return [_Change(words[0] if len(words) == 2 else _Sequence(), words[-1], step)]


def _parted(group: _Group) -> list[_Sequence]:
    """What stands between the colons of a bracket, without the last piece; a bar is text there."""
    words = [list(group.pieces[0])]
    for separator, piece in zip(group.separators[:-1], group.pieces[1:], strict=False):
        if separator == ":":
            words.append(list(piece))
        else:
            words[-1] += [separator, *piece]
    return [_Sequence(tuple(parts)) for parts in words]


def _merged(parts: Sequence["str | _Change | _Turns"]) -> list["str | _Change | _Turns"]:
    """The same with neighbouring texts as one, so that deep brackets take no quadratic number of pieces."""
    merged: list[str | _Change | _Turns] = []
    for is_text, some in groupby(parts, lambda part: isinstance(part, str)):
        run = list(some)
        merged += ["".join(cast("Iterable[str]", run))] if is_text else run
    return merged


def _depth(group: _Group) -> int:
    """How deep what a bracket holds is nested."""
    return max(
        (part.depth for piece in group.pieces for part in piece if not isinstance(part, str)), default=0
    )


def _step(piece: list["str | _Change | _Turns"], steps: int) -> int | None:
    """The step that a piece names: a share of the run with a point, else a number; None if it names none."""
    if len(piece) != 1 or not isinstance(piece[0], str) or not _NUMBER.fullmatch(piece[0]):
        return None
    number = piece[0].strip()
    return int(min(float(steps), max(-1.0, float(number) * (steps if "." in number else 1))))
