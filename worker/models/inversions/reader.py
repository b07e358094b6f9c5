"""A text encoder that reads vectors beside those of its own table."""

from typing import Any

from torch import Tensor, nn, where
from torch.nn import functional as F

from worker.models.device import Device
from worker.models.shared import sharing_copy


def reader_of(text_encoder: Any, vectors: Tensor | None, device: Device) -> Any:
    """A text encoder that reads vectors for negative tokens; the other one stays as it is.

    Args:
        text_encoder: of transformers, with the embeddings that it shares with the answer.
        vectors: [V, D], -1 for the first; None for the encoder itself.
        device: for both.
    """
    if vectors is None:
        return text_encoder
    reader = sharing_copy(text_encoder)
    table: Any = reader.get_input_embeddings()
    table.__class__ = _Table
    table.register_buffer("vectors", vectors, persistent=False)
    # What they share is frozen on the device already.
    return nn.Module.to(reader, device.device, device.dtype).eval().requires_grad_(False)


class _Table(nn.Embedding):
    vectors: Tensor

    def forward(self, input: Tensor) -> Tensor:
        own = super().forward(input.clamp(min=0))
        learned = F.embedding((-1 - input).clamp(min=0), self.vectors).to(own.dtype)
        # Of the own rows every bit, and no waiting for the device to ask whether there are others.
        return where(input[..., None] < 0, learned, own)
