"""Words for a picture: the caption that a CLIP finds most like it, out of all that a form and groups of words make."""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from jobs.catalog.words import Words
from jobs.requests.tasks import Description
from worker.calls import MAX_BATCH_TEXTS, EmbedTexts
from worker.events import Yield


def described(clip: str, picture: Tensor, words: Words) -> Generator[Yield, Any, Description]:
    """Choose the word of each group, first alone, then once more beside the words of the others.

    The captions are too many to compare them all; of what a CLIP makes of a word, its place in a caption is a part.

    Args:
        clip: id of the CLIP.
        picture: its embedding of the picture, a unit vector [E].
        words: to choose from.
    """
    chosen, similarity = [], 0.0
    for group in words.groups:
        best, _ = yield from _most_alike(clip, picture, group)
        chosen.append(group[best])
    # The last group first: a caption ends with what is told the most easily.
    for place in reversed(range(len(words.groups))):
        group = words.groups[place]
        captions = [words.caption([*chosen[:place], word, *chosen[place + 1 :]]) for word in group]
        best, similarity = yield from _most_alike(clip, picture, captions)
        chosen[place] = group[best]
    return Description(clip=clip, caption=words.caption(chosen), similarity=round(similarity, 4))


def _most_alike(clip: str, picture: Tensor, texts: Sequence[str]) -> Generator[Yield, Any, tuple[int, float]]:
    """Number of the text that is most like a picture, and how much it is."""
    parts = []
    for start in range(0, len(texts), MAX_BATCH_TEXTS):
        part: Tensor = yield EmbedTexts(clip, tuple(texts[start : start + MAX_BATCH_TEXTS]))
        parts.append(part)
    similarities = torch.cat(parts) @ picture
    best = int(similarities.argmax())
    return best, min(1.0, max(-1.0, float(similarities[best])))
