"""Emphasis as AUTOMATIC1111's web UI writes it: ``(more)``, ``[less]``, ``(this much:1.3)``, and ``BREAK``.

A round bracket multiplies the weight of what it holds by 1.1, a square one divides it by 1.1, ``(text:w)`` multiplies
it by w; brackets in brackets multiply. A bracket after a backslash is a character like others. An opening bracket that
is never closed reaches to the end; a closing one that was never opened is a character.
"""

import re

from jobs.prompts.prompt import Fragment, Passage, bounded

STEP = 1.1
_TOKEN = re.compile(
    r"\\(?P<literal>[()\[\]\\])"
    r"|:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)"
    r"|(?P<bracket>[()\[\]])"
    r"|(?P<text>[^\\()\[\]:]+|.)",
    re.DOTALL,
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_PAIR = {")": "(", "]": "["}


def emphasized(text: str) -> tuple[Passage, ...]:
    """The passages that BREAK parts, each as fragments of different weights; at least one, with one fragment."""
    passages: list[list[Fragment]] = [[]]
    for text_run, weight in _runs(text):
        first, *others = _BREAK.split(text_run)
        _extend(passages[-1], first, weight)
        for other in others:
            passages.append([])
            _extend(passages[-1], other, weight)
    return tuple(tuple(passage) or (Fragment(""),) for passage in passages)


def _runs(text: str) -> list[tuple[str, float]]:
    """The characters without the syntax, with the weight of each run."""
    runs: list[tuple[str, float]] = []
    opened: list[tuple[str, int]] = []  # each open bracket, and the number of the first run within it
    for token in _TOKEN.finditer(text):
        mark = token["bracket"]
        inner = _innermost(opened, "(") if token["weight"] is not None else None
        if mark is not None and mark not in _PAIR:
            opened.append((mark, len(runs)))
        elif inner is not None:
            _multiply(runs, opened, inner, bounded(float(token["weight"])))
        elif mark is not None and (inner := _innermost(opened, _PAIR[mark])) is not None:
            _multiply(runs, opened, inner, STEP if mark == ")" else 1 / STEP)
        else:
            runs.append((token["literal"] or token[0], 1.0))
    for _ in list(opened):
        mark = opened[-1][0]
        _multiply(runs, opened, len(opened) - 1, STEP if mark == "(" else 1 / STEP)
    return runs


def _innermost(opened: list[tuple[str, int]], mark: str) -> int | None:
    """The place of the latest open bracket of a kind."""
    return next((place for place in reversed(range(len(opened))) if opened[place][0] == mark), None)


def _multiply(
    runs: list[tuple[str, float]], opened: list[tuple[str, int]], place: int, factor: float
) -> None:
    """Close the bracket at ``place``: multiply what came since."""
    _, start = opened.pop(place)
    runs[start:] = [(text, bounded(weight * factor)) for text, weight in runs[start:]]


def _extend(fragments: list[Fragment], text: str, weight: float) -> None:
    """Add a run, to the last fragment if that has its weight."""
    if text and fragments and fragments[-1].weight == weight:
        fragments[-1] = Fragment(fragments[-1].text + text, weight)
    elif text:
        fragments.append(Fragment(text, weight))
