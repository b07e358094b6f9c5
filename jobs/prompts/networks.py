"""Adapters that a prompt names, as AUTOMATIC1111's web UI writes them: ``<lora:name:weight>``.

``<lora:name:text:unet>`` has a weight for the text encoder and one for the denoiser; both may be named, ``te=`` and
``unet=``. Without numbers, both are 1. A tag is no part of the text.
"""

import re
from dataclasses import dataclass

from jobs.prompts.prompt import bounded

_TAG = re.compile(r"<(?:lora|lyco):(?P<name>[^:<>]+)(?P<parts>(?::[^:<>]*)*)>")
_NAMES = {"te": "text_weight", "unet": "weight"}


@dataclass(frozen=True)
class NamedAdapter:
    """An adapter in a prompt, with its weights for the denoiser and for the text encoder."""

    name: str
    weight: float
    text_weight: float


def without_adapters(text: str) -> tuple[str, tuple[NamedAdapter, ...]]:
    """A text without its tags, and the adapters that they name; of a name that repeats, the first.

    Raises:
        ValueError: a weight is not a number.
    """
    found: dict[str, NamedAdapter] = {}
    for tag in _TAG.finditer(text):
        named = _named(tag["name"].strip(), tag["parts"].split(":")[1:], tag[0])
        found.setdefault(named.name, named)
    return (_TAG.sub("", text).strip() if found else text), tuple(found.values())


def _named(name: str, parts: list[str], tag: str) -> NamedAdapter:
    weights: dict[str, float] = {}
    positions = iter(("text_weight", "weight"))
    for part in parts:
        key, is_named, value = part.rpartition("=")
        place = _NAMES.get(key.strip()) if is_named else next(positions, None)
        if place is None:
            continue  # such as dyn=, the rank to cut an adapter down to
        try:
            weights[place] = bounded(float(value))
        except ValueError:
            raise ValueError(f"{value.strip()!r} in {tag} is not a number") from None
    text = weights.get("text_weight", 1.0)
    return NamedAdapter(name, weights.get("weight", text), text)
