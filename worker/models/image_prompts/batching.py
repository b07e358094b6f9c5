"""The image prompts of a batch's rows: keys and values that its cross-attentions read, made once for all steps."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from worker.models.image_prompts.adapter import ImagePromptAdapter
from worker.models.image_prompts.attention import Group, ImagePrompts
from worker.rows import ImagePromptUse, Row

FindImagePromptAdapter = Callable[[str], ImagePromptAdapter]  # by its id in the catalog

_Uses = tuple[ImagePromptUse, ...]  # of one row and one adapter


def image_prompts_of(
    rows: Sequence[Row], find: FindImagePromptAdapter, device: torch.device
) -> ImagePrompts | None:
    """The image prompts of a batch's rows; None where none has any.

    Rows with as many pictures for one adapter are one group. So jobs with any number of pictures share a batch.
    """
    members: dict[tuple[str, int], list[tuple[int, _Uses]]] = {}
    for number, row in enumerate(rows):
        by_adapter = sorted(row.image_prompts, key=lambda use: use.adapter)
        for adapter, group in groupby(by_adapter, key=lambda use: use.adapter):
            uses = tuple(group)
            members.setdefault((adapter, len(uses)), []).append((number, uses))
    if not members:
        return None
    return ImagePrompts(
        tuple(_group(find(adapter), its, device) for (adapter, _), its in sorted(members.items()))
    )


def _group(adapter: ImagePromptAdapter, members: Sequence[tuple[int, _Uses]], device: torch.device) -> Group:
    pictures = [use for _, uses in members for use in uses]
    tokens = adapter.tokens([use.canvas for use in pictures])
    weights = torch.tensor([use.weight for use in pictures], device=device, dtype=tokens.dtype).view(-1, 1, 1)

    def by_row(each: Tensor) -> Tensor:
        """[G n, T, inner] as [G, n T, inner]: the tokens of a row's n pictures one after another."""
        return each.reshape(len(members), -1, each.shape[2])

    return Group(
        torch.tensor([number for number, _ in members], device=device),
        tuple((by_row(key), by_row(weights * value)) for key, value in adapter.keys_and_values(tokens)),
    )
