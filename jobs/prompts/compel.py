"""Prompts in the syntax of compel (Damian Stewart): ``word+``, ``(some words)1.3``, ``.blend()``, ``.and()``.

``+`` multiplies the weight of the word before it by 1.1, ``-`` by 0.9, as often as it stands there. Words in brackets
or quotation marks may take a number instead. ``("a", "b").blend(1, 2)`` is the weighted mean of two prompts' states,
``("a", "b").and(1, 0.5)`` puts one after the other. A bracket without its partner is text.
"""

import re

from jobs.prompts.prompt import Fragment, Part, Passage, bounded

MORE, LESS = 1.1, 0.9
MAX_NESTED = 16  # a bracket that is nested deeper is text
_WEIGHT = re.compile(r"\++|-+(?![\w.])|(?:\d+\.?\d*|\.\d+)", re.ASCII)
_WORD = re.compile(r"(?:\\.|[^\s()\"\\,.+-]|[+-](?=[^\s()\",.+-])|\.(?=\w))+")
_OPERATOR = re.compile(r"\s*\.(?P<name>blend|and|add)\((?P<arguments>[^()]*)\)\s*\Z", re.ASCII)
_ESCAPED = re.compile(r"\\([()\".,+=\\-])")
_NUMBER = re.compile(r"\s*-?(?:\d+\.?\d*|\.\d+)\s*", re.ASCII)
_MARK = re.compile(r'\\.|[()"]', re.DOTALL)
_QUOTE = re.compile(r'(?:[^\\"]|\\.)*+"', re.DOTALL)
UNSERVED = re.compile(r"\.swap\(|(?:use|with)Lora\(")


def parts_of(text: str) -> tuple[Part, ...]:
    """The parts of a prompt.

    Raises:
        ValueError: an operator has as many weights as it cannot have, or is not served.
    """
    text = re.sub(r",(?=\S)", ", ", text)
    if found := UNSERVED.search(text):
        raise ValueError(f"{found[0]}...) of compel's syntax is not served")
    joined = _joined(text)
    if joined is None:
        return (Part((_passage(text),)),)
    name, prompts, weights = joined
    passages = tuple(_passage(prompt) for prompt in prompts)
    if name != "blend":
        return tuple(
            Part((passage,), weight=weight) for passage, weight in zip(passages, weights, strict=True)
        )
    total = sum(weights)
    if abs(total) < 1e-6:
        raise ValueError("the weights of .blend() sum to 0, so they have no mean")
    return (Part(passages, tuple(weight / total for weight in weights)),)


def _joined(text: str) -> tuple[str, list[str], list[float]] | None:
    """The operator that joins several prompts, the prompts, and their weights; None without one."""
    stripped = text.strip()
    end = _partners(stripped).get(0) if stripped.startswith("(") else None
    operator = _OPERATOR.match(stripped, end + 1) if end is not None else None
    if end is None or operator is None:
        return None
    prompts = _listed(stripped[1:end])
    given = [word for word in operator["arguments"].split(",") if word.strip()]
    for word in given:
        if not _NUMBER.fullmatch(word):
            raise ValueError(f"{word.strip()!r} in .{operator['name']}() is not a weight")
    if given and len(given) != len(prompts):
        raise ValueError(f".{operator['name']}() has {len(given)} weights for {len(prompts)} prompts")
    return operator["name"], prompts, [bounded(float(word)) for word in given] or [1.0] * len(prompts)


def _listed(text: str) -> list[str]:
    """The prompts of a list, in quotation marks or without."""
    partners, prompts, start, place = _partners(text), [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == ",":
            prompts.append(text[start:place])
            start = place + 1
        else:
            place = partners.get(place, place)
        place += 1
    return [_bare(prompt.strip()) for prompt in (*prompts, text[start:])]


def _bare(prompt: str) -> str:
    """A prompt without the brackets or quotation marks around it."""
    return prompt[1:-1] if prompt and _partners(prompt).get(0) == len(prompt) - 1 else prompt


def _partners(text: str) -> dict[int, int]:
    """The places of closing brackets and quotation marks, by those of their opening ones.

    What stands in quotation marks is passed over.
    """
    partners: dict[int, int] = {}
    opened: list[int] = []
    place = 0
    for mark in _MARK.finditer(text):
        if mark.start() < place:
            continue
        if mark[0] == "(":
            opened.append(mark.start())
        elif mark[0] == ")" and opened:
            partners[opened.pop()] = mark.start()
        elif mark[0] == '"' and (closing := _QUOTE.search(text, mark.end())):
            partners[mark.start()] = closing.end() - 1
            place = closing.end()
    return partners


def _passage(text: str) -> Passage:
    """The fragments of a prompt, neighbours of one weight together."""
    fragments: list[Fragment] = []
    for word, weight in _weighted(text, 1.0):
        if fragments and fragments[-1].weight == weight:
            fragments[-1] = Fragment(f"{fragments[-1].text} {word}", weight)
        else:
            fragments.append(Fragment(word, weight))
    return tuple(fragments) or (Fragment(""),)


def _weighted(text: str, weight: float, depth: int = 0) -> list[tuple[str, float]]:
    """Each word of a text with its weight."""
    words: list[tuple[str, float]] = []
    partners = _partners(text) if depth < MAX_NESTED else {}
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        end = partners.get(place)
        if end is not None:
            factor, after = _factor(text, end + 1, numbers=True)
            words += _weighted(text[place + 1 : end], bounded(weight * factor), depth + 1)
        else:
            word = _WORD.match(text, place)
            after = word.end() if word else place + 1
            factor, after = _factor(text, after, numbers=False) if word else (1.0, after)
            words.append((_ESCAPED.sub(r"\1", word[0] if word else text[place]), bounded(weight * factor)))
        place = after
    return words


def _factor(text: str, place: int, *, numbers: bool) -> tuple[float, int]:
    """The factor that stands at a place, and the place after it."""
    found = _WEIGHT.match(text, place)
    if found is None or (not numbers and found[0][0] not in "+-"):
        return 1.0, place
    mark = found[0]
    if mark[0] in "+-":
        return float((MORE if mark[0] == "+" else LESS) ** min(len(mark), 50)), found.end()
    return bounded(float(mark)), found.end()
