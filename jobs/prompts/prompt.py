"""What a prompt says once its syntax is read: which words, how strongly, at which steps."""

from dataclasses import dataclass
from enum import StrEnum

MAX_WEIGHT = 1000.0


def bounded(weight: float) -> float:
    """A weight, or the nearest one that is not over ``MAX_WEIGHT``: no prompt may hold a number that overflows."""
    return max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))


class PromptSyntax(StrEnum):
    """The schools of prompt syntax; the same text makes different pictures by each."""

    PLAIN = "plain"
    A1111 = "a1111"
    COMPEL = "compel"


class LongPrompt(StrEnum):
    """What happens to the tokens beyond a text encoder's context."""

    CUT = "cut"
    CHUNK = "chunk"


@dataclass(frozen=True)
class Fragment:
    """Some words, and the strength of their states."""

    text: str
    weight: float = 1.0


Passage = tuple[Fragment, ...]
"""Fragments that follow each other in one text."""


@dataclass(frozen=True)
class Part:
    """A weighted mean of passages, which stand in the same places of the context.

    Attributes:
        passages: those that are mixed; one without a blend.
        shares: of each in the mean; they sum to 1.
        weight: how far the states move away from those of an empty text; 1 leaves them.
    """

    passages: tuple[Passage, ...]
    shares: tuple[float, ...] = (1.0,)
    weight: float = 1.0


@dataclass(frozen=True)
class Wording:
    """What one context is encoded from.

    Attributes:
        parts: encoded apart; their states follow each other.
        syntax: whose rule turns weights into states.
        long_prompt: what happens to a part that is longer than the encoder's context.
        clip_skip: layers before the one that the model reads as a rule, whose states are read instead.
    """

    parts: tuple[Part, ...]
    syntax: PromptSyntax = PromptSyntax.PLAIN
    long_prompt: LongPrompt = LongPrompt.CUT
    clip_skip: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """The words of each passage, without weights."""
        between = " " if self.syntax == PromptSyntax.COMPEL else ""  # the others keep their spaces
        passages = (passage for part in self.parts for passage in part.passages)
        return tuple(between.join(fragment.text for fragment in passage) for passage in passages)

    @property
    def text(self) -> str:
        """All words, with single spaces."""
        return " ".join(" ".join(self.texts).split())


def plain(text: str) -> Wording:
    """A text as it stands, cut at the encoder's context."""
    return Wording((Part(((Fragment(text),),)),))


EMPTY = plain("")


@dataclass(frozen=True)
class Span:
    """The wording of a prompt up to a step.

    Attributes:
        last_step: the last one, from 0.
        wording: that conditions it.
    """

    last_step: int
    wording: Wording


@dataclass(frozen=True)
class Branch:
    """A prompt of its own row.

    Attributes:
        spans: one after another; the last one ends at the last step or later.
        weight: of its row, beside those of the other branches.
    """

    spans: tuple[Span, ...]
    weight: float = 1.0

    def at(self, step: int) -> Wording:
        """The wording of a step, from 0."""
        return next((span.wording for span in self.spans if step <= span.last_step), self.spans[-1].wording)


Branches = tuple[Branch, ...]
