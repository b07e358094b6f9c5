"""What the file of an adapter says of itself."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

MOST_TRIGGERS = 5
SHARE = 0.5  # of the training pictures that a word has to be said of


@dataclass(frozen=True)
class Description:
    """What is known of an adapter before anybody uses it; empty where the file says nothing.

    Attributes:
        title: for people.
        base: the kind of model that it was trained on, in its trainer's words.
        triggers: words that it was trained with, the most frequent first.
        licence: of its weights.
    """

    title: str
    base: str
    triggers: tuple[str, ...]
    licence: str


def described(metadata: Mapping[str, str]) -> Description:
    """What a safetensors header says, by Kohya's fields (``ss_``) and those of the ModelSpec standard.

    Args:
        metadata: of the header.
    """
    phrase = metadata.get("modelspec.trigger_phrase", "").strip()
    return Description(
        title=metadata.get("modelspec.title", metadata.get("ss_output_name", "")),
        base=metadata.get("modelspec.architecture", metadata.get("ss_base_model_version", "")),
        triggers=(phrase,) if phrase else _frequent(metadata.get("ss_tag_frequency", "")),
        licence=metadata.get("modelspec.license", ""),
    )


def _frequent(text: str) -> tuple[str, ...]:
    """The words that most pictures of the training data had, from Kohya's counts by data set."""
    try:
        sets = json.loads(text) if text else {}
        counts: Counter[str] = Counter()
        for words in sets.values():
            counts.update({word.strip(): int(count) for word, count in words.items() if word.strip()})
    except (ValueError, AttributeError, TypeError):
        return ()  # a header may say anything
    most = max(counts.values(), default=0)
    return tuple(word for word, count in counts.most_common(MOST_TRIGGERS) if count >= SHARE * most)
