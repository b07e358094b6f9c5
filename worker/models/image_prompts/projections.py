"""From the encoding of a picture to the tokens that cross-attentions read; parts have the names of published files."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_WIDTH = 64  # of every published resampler
WIDENING = 4  # of its feed-forward layers


class Projection(nn.Module):
    """Of the base IP-Adapter: one embedding becomes T tokens (Ye et al. 2023, arXiv 2308.06721, sec. 3.2.1).

    Attributes:
        features: E, numbers of what it reads.
        tokens: T.
    """

    def __init__(self, features: int, tokens: int, width: int) -> None:
        """Make one with weights to be filled in.

        Args:
            features: E, numbers of an embedding.
            tokens: T.
            width: D, numbers of a token.
        """
        super().__init__()
        self.proj = nn.Linear(features, tokens * width)
        self.norm = nn.LayerNorm(width)
        self.features, self.tokens, self._width = features, tokens, width

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings [N, E] to tokens [N, T, D]."""
        tokens: Tensor = self.norm(self.proj(embeddings).unflatten(1, (-1, self._width)))
        return tokens


class Resampler(nn.Module):
    """Of IP-Adapter Plus: T learned queries read the states of all patches (Alayrac et al. 2022, Flamingo, sec. 3.1).

    Attributes: as of ``Projection``.
    """

    def __init__(self, states: int, tokens: int, width: int, *, inner: int, heads: int, depth: int) -> None:
        """Make one with weights to be filled in.

        Args:
            states: E, numbers of a patch's state.
            tokens: T.
            width: D, numbers of a token.
            inner: H, numbers of a query between its layers.
            heads: of the attentions, each of ``HEAD_WIDTH`` numbers.
            depth: number of layers.
        """
        super().__init__()
        self.features, self.tokens = states, tokens
        self.latents = nn.Parameter(torch.empty(1, tokens, inner))
        self.proj_in = nn.Linear(states, inner)
        self.proj_out = nn.Linear(inner, width)
        self.norm_out = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([_PatchAttention(inner, heads), _feed_forward(inner)]) for _ in range(depth)
        )

    def forward(self, states: Tensor) -> Tensor:
        """States of L patches [N, L, E] to tokens [N, T, D]."""
        patches = self.proj_in(states)
        queries = self.latents.expand(len(states), -1, -1)
        for attend, feed in cast("Iterable[tuple[nn.Module, nn.Module]]", self.layers):
            queries = queries + attend(patches, queries)
            queries = queries + feed(queries)
        tokens: Tensor = self.norm_out(self.proj_out(queries))
        return tokens


class _PatchAttention(nn.Module):
    """Queries attend to the patches and to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, patches: Tensor, queries: Tensor) -> Tensor:
        """Patches [N, L, H] and queries [N, T, H] to changes of the queries [N, T, H]."""
        patches, queries = self.norm1(patches), self.norm2(queries)
        keys, values = self.to_kv(torch.cat([patches, queries], dim=1)).chunk(2, dim=-1)
        parts = (
            each.unflatten(2, (-1, HEAD_WIDTH)).transpose(1, 2) for each in (self.to_q(queries), keys, values)
        )
        attended = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        change: Tensor = self.to_out(attended)
        return change


def _feed_forward(width: int) -> nn.Module:
    inner = WIDENING * width
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, inner, bias=False),
        nn.GELU(),
        nn.Linear(inner, width, bias=False),
    )
