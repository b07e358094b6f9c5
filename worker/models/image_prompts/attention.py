"""Cross-attentions that attend to pictures beside the text (decoupled cross-attention, Ye et al. 2023, eq. 5).

    Z = Attention(Q, K, V) + sum_a Attention(Q, K'_a, V'_a)

Q are the queries, K and V come from the text, K'_a and V'_a from the tokens of an adapter's pictures. Each picture's
values are multiplied by its weight, so that pictures of one adapter share its attention and pictures of several add up.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from worker.models.networks.attention import sdpa


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of a batch that read as many tokens of one adapter.

    Attributes:
        rows: their numbers, [G].
        layers: keys and values of each cross-attention, both [G, T, inner]; the values have the pictures' weights.
    """

    rows: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True, eq=False)
class ImagePrompts:
    """The pictures of a batch's rows, in groups; a row is in one for each of its adapters."""

    groups: tuple[Group, ...]

    def added(self, layer: int, query: Tensor, attended: Tensor) -> Tensor:
        """What a cross-attention found in the texts and in the pictures; rows without pictures keep their bits.

        Args:
            layer: number of the cross-attention.
            query: [B, S, heads, width].
            attended: to the texts, likewise.
        """
        for group in self.groups:
            key, value = (each.unflatten(2, query.shape[2:]) for each in group.layers[layer])
            seen = sdpa(query.index_select(0, group.rows), key, value)
            attended = attended.index_add(0, group.rows, seen)
        return attended


_prompts: ContextVar[ImagePrompts | None] = ContextVar("prompts", default=None)  # of the call that is running


@contextmanager
def seeing(prompts: ImagePrompts | None) -> Iterator[None]:
    """Let the attentions of ``decouple`` read the pictures of B rows while a network answers these."""
    token = _prompts.set(prompts)
    try:
        yield
    finally:
        _prompts.reset(token)


def cross_attentions(network: nn.Module) -> dict[str, Attention]:
    """A UNet's cross-attentions by their names, in the order of diffusers' processors; none of another network."""
    processors: Mapping[str, Any] = getattr(network, "attn_processors", {})
    names = (name.removesuffix(".processor") for name in processors)
    return {name: _attention(network, name) for name in names if not name.endswith("attn1")}


def _attention(network: nn.Module, name: str) -> Attention:
    attention = network.get_submodule(name)
    assert isinstance(attention, Attention)
    return attention


def decouple(network: nn.Module) -> None:
    """Let the cross-attentions of a network read what ``seeing`` says, besides their texts."""
    for number, attention in enumerate(cross_attentions(network).values()):
        attention.set_processor(DecoupledAttention(number, attention.processor))


class DecoupledAttention:
    """The processor of a cross-attention. It reads the pictures of the running call, and remembers none."""

    def __init__(self, number: int, plain: Any) -> None:
        """Take the place of another processor.

        Args:
            number: of the attention, from 0.
            plain: the processor for calls without pictures.
        """
        self._number, self._plain = number, plain

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """As diffusers' ``AttnProcessor2_0``, for states [B, S, C] and contexts [B, L, D] without masks."""
        prompts = _prompts.get()
        if prompts is None:
            output: Tensor = self._plain(
                attention, hidden_states, encoder_hidden_states, attention_mask, temb
            )
            return output
        heads = (attention.heads, -1)
        query, key, value = (
            project(states).unflatten(2, heads)
            for project, states in (
                (attention.to_q, hidden_states),
                (attention.to_k, encoder_hidden_states),
                (attention.to_v, encoder_hidden_states),
            )
        )
        attended = prompts.added(self._number, query, sdpa(query, key, value)).flatten(2)
        return attention.to_out[1](attention.to_out[0](attended))  # type: ignore[no-any-return]
