"""Reads a prompt in any of the served syntaxes."""

import re
from collections.abc import Callable
from functools import lru_cache, partial

from jobs.prompts.compel import parts_of
from jobs.prompts.emphasis import emphasized
from jobs.prompts.prompt import (
    Branch,
    Branches,
    Fragment,
    LongPrompt,
    Part,
    PromptSyntax,
    Span,
    Wording,
    bounded,
)
from jobs.prompts.scheduling import scheduled

_AND = re.compile(r"\bAND\b")
_BRANCH_WEIGHT = re.compile(
    r"(?P<text>.*?)\s*:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*", re.DOTALL | re.ASCII
)
KEPT = 256  # latest prompts; a request's is asked for again and again
MAX_BRANCHES = 8
MAX_WORDINGS = 64  # of one prompt; each is encoded


@lru_cache(KEPT)
def branches(
    text: str,
    syntax: PromptSyntax,
    long_prompt: LongPrompt,
    steps: int,
    *,
    joins: bool = True,
    clip_skip: int = 0,
) -> Branches:
    """What a prompt says at each step, as the rows that it has.

    Args:
        text: of the prompt.
        syntax: to read it in.
        long_prompt: what happens to what is beyond the encoder's context.
        steps: of the run, at least 1.
        joins: whether ``AND`` parts prompts of rows of their own; it does not in a negative prompt.
        clip_skip: layers before the usual one whose states are read.

    Raises:
        ValueError: the text does not say what it means, or has too many rows.
    """
    worded = partial(Wording, syntax=syntax, long_prompt=long_prompt, clip_skip=clip_skip)
    if syntax == PromptSyntax.PLAIN:
        return (_constant(worded((Part(((Fragment(text),),)),))),)
    if syntax == PromptSyntax.COMPEL:
        return (_constant(worded(parts_of(text))),)
    rows = _AND.split(text) if joins else [text]
    if len(rows) > MAX_BRANCHES:
        raise ValueError(f"AND joins {len(rows)} prompts; at most {MAX_BRANCHES} are")
    found = tuple(_branch(row, worded, steps, is_one_of_many=len(rows) > 1) for row in rows)
    wordings = {span.wording for branch in found for span in branch.spans}
    if len(wordings) > MAX_WORDINGS:
        raise ValueError(
            f"the prompt takes {len(wordings)} wordings in {steps} steps; at most {MAX_WORDINGS} are"
        )
    return found


def plain_words(text: str, syntax: PromptSyntax, steps: int) -> str:
    """The words of a prompt at the end of a run, without syntax: what a CLIP compares pictures with."""
    if syntax == PromptSyntax.PLAIN:
        return text
    found = branches(text, syntax, LongPrompt.CHUNK, steps)
    return ", ".join(filter(None, (branch.spans[-1].wording.text for branch in found)))


def _branch(
    text: str, worded: Callable[[tuple[Part, ...]], Wording], steps: int, *, is_one_of_many: bool
) -> Branch:
    weighted = _BRANCH_WEIGHT.fullmatch(text) if is_one_of_many else None
    words, weight = (weighted["text"], bounded(float(weighted["weight"]))) if weighted else (text, 1.0)
    spans = []
    for last_step, words_then in scheduled(words, steps):
        parts = tuple(Part((passage,)) for passage in emphasized(words_then))
        spans.append(Span(last_step, worded(parts)))
    return Branch(tuple(spans), weight)


def _constant(wording: Wording) -> Branch:
    return Branch((Span(0, wording),))
