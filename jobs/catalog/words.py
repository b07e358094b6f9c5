"""Words that describe pictures, in groups, and the form of a caption of them: what `interrogate` chooses from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from jobs.catalog.models import ModelCard
from jobs.errors import ConfigurationError

COMMON = Path(__file__).parent / "words.txt"
MOST_WORDS, MOST_CHARS = 4000, 200
_GAP = "{}"


@dataclass(frozen=True)
class Words:
    """The words of a file.

    Attributes:
        form: the texts around the words of a caption: before the first, between two, after the last.
        groups: of each, a caption has one word.
    """

    form: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]

    def caption(self, words: Sequence[str]) -> str:
        """The caption of these words, one of each group."""
        return "".join(chain.from_iterable(zip(self.form, (*words, ""), strict=True)))


def words_for(card: ModelCard) -> Words:
    """The words for a model's pictures: its own, else those that suit all.

    Raises:
        ConfigurationError: its file cannot be read, has no words or too many, or another form than groups.
    """
    return _read(card.words or COMMON)


@cache
def _read(file: Path) -> Words:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the words {file} cannot be read: {error}") from error
    form, groups = tuple("".join(lines[:1]).split(_GAP)), _groups(lines[1:])
    words = [word for group in groups for word in group]
    if not 1 <= len(words) <= MOST_WORDS or max(map(len, words)) > MOST_CHARS:
        raise ConfigurationError(
            f"the words {file} must be 1 to {MOST_WORDS} lines of at most {MOST_CHARS} characters"
        )
    if len(form) != len(groups) + 1:
        raise ConfigurationError(
            f"the first line of {file} must have a {_GAP} for each of the {len(groups)} groups of words below"
        )
    return Words(form, groups)


def _groups(lines: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Lines in groups, with empty lines between."""
    groups: list[list[str]] = [[]]
    for line in lines:
        if line:
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return tuple(tuple(group) for group in groups if group)
