"""The rows of a batch: the conditions of its pictures, put together once while the pictures stay together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from worker.facts import RowSpec
from worker.models.adapters.mixture import Mixture
from worker.models.caches import Latest
from worker.models.controls.batching import Controls
from worker.models.image_prompts.attention import ImagePrompts
from worker.rows import Row, Rows

Added = tuple[Mixture | None, Controls | None, ImagePrompts | None, Tensor | None]
Add = Callable[[Sequence[Row]], Added]

KEPT = 4  # batches that take turns: of several sizes, of other kinds of calls


@dataclass(frozen=True, eq=False)
class RowBatch:
    """B rows of N pictures, on the model's device.

    Attributes:
        context: [B, L, D].
        vector: [B, V], float32, but labels; None where rows have none.
        guidance: [B, G]; likewise.
        channels: [B, K, h, w]; likewise.
        owners: number of each row's picture, [B].
        places: numbers of each picture's rows, [N, R]; one with fewer rows than others repeats its first.
        weights: of these rows, [N, R, 1, 1, 1]; 0 for a repetition.
        is_regular: whether every picture has R rows.
        mixture: the adapters of the rows; None without any.
        controls: likewise.
        prompts: pictures that the rows are told of; likewise.
    """

    context: Tensor
    vector: Tensor | None
    guidance: Tensor | None
    channels: Tensor | None
    owners: Tensor
    places: Tensor
    weights: Tensor
    is_regular: bool
    mixture: Mixture | None = None
    controls: Controls | None = None
    prompts: ImagePrompts | None = None
    _buffer: Tensor | None = field(default=None, init=False)

    @property
    def told(self) -> tuple[Tensor, ...]:
        """What the denoiser is told of each row besides its context, in the order of ``conditions``."""
        return tuple(part for part in (self.vector, self.guidance) if part is not None)

    def expanded(self, pictures: Tensor) -> Tensor:
        """One of N values [N, ...] for each row, [B, ...]."""
        return pictures.index_select(0, self.owners)

    def with_channels(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] and the rows' channels after them, [B, C + K, h, w]."""
        return latents if self.channels is None else torch.cat([latents.to(self.channels), self.channels], 1)

    def inputs(self, latents: Tensor) -> Tensor:
        """Latents [N, C, h, w] for each row, [B, C, h, w], in the denoiser's number format.

        They lie in a buffer that the next call writes again: fresh memory of this size costs as much as filling it.
        """
        shape = len(self.owners), *latents.shape[1:]
        if self._buffer is None or self._buffer.shape != shape:
            object.__setattr__(self, "_buffer", latents.new_empty(shape, dtype=self.context.dtype))
        buffer = self._buffer
        assert buffer is not None
        most = self.places.shape[1]
        if self.is_regular:
            buffer.view(-1, most, *latents.shape[1:]).copy_(latents[:, None])
        else:
            buffer.copy_(self.expanded(latents))
        return buffer

    def weighted(self, outputs: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The outputs [B, C, h, w] of each picture's first row, second row and so on, with their weights.

        Row by row, so that a picture's combined output has the same bits in every batch.
        """
        return self.with_weights(outputs, self.weights)

    def with_weights(self, outputs: Tensor, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The same with other weights [N, R, 1, h or 1, w or 1]."""
        return [(self._nth(outputs, row), weights[:, row]) for row in range(self.places.shape[1])]

    def gains(self, outputs: Tensor, shares: Tensor) -> Tensor:
        """What brings the spread of each picture's combined output back to that of its first row's, [N, 1, 1, 1].

        phi std(o_1) / std(o) + 1 - phi (Lin et al. 2024, sec. 3.4), of the outputs [B, C, h, w], with the share phi of
        each picture [N].
        """
        terms = self.weighted(outputs)
        combined = sum((value * weight for value, weight in terms), start=torch.zeros_like(terms[0][0]))
        first, whole = (value.flatten(1).std(dim=1) for value in (terms[0][0], combined))
        gains: Tensor = shares * first / whole.clamp(min=torch.finfo(whole.dtype).tiny) + 1 - shares
        return gains.view(-1, 1, 1, 1)

    def summed(self, values: Tensor) -> Tensor:
        """The sum over each picture's rows of values [B, C, h, w], as [N, C, h, w]."""
        total = torch.zeros_like(self._nth(values, 0))
        for value, weight in self.weighted(values):
            total.addcmul_(value, (weight != 0).to(values.dtype))
        return total

    def _nth(self, values: Tensor, row: int) -> Tensor:
        """The values of the row of this number of each picture."""
        if self.is_regular:
            return values[row :: self.places.shape[1]]
        return values.index_select(0, self.places[:, row])


class RowBatches:
    """Makes batches of rows, and remembers the latest: the same pictures meet at many steps."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._latest: Latest[tuple[Rows, ...], RowBatch] = Latest(KEPT)

    def of(self, pictures: Sequence[Rows], add: Add) -> RowBatch:
        """The batch of some pictures' rows, which agree in their keys.

        Args:
            pictures: the rows of each.
            add: from all rows to their adapters, controls, pictures and labels.
        """
        key = tuple(pictures)
        return self._latest.of(key, lambda: self._made(key, add))

    def forget(self) -> None:
        """Keep no batch."""
        self._latest.clear()

    def _made(self, pictures: tuple[Rows, ...], add: Add) -> RowBatch:
        rows = [row for rows in pictures for row in rows]
        owners = [owner for owner, rows in enumerate(pictures) for _ in rows]
        most, starts = max(len(rows) for rows in pictures), [0]
        for each in pictures:
            starts.append(starts[-1] + len(each))
        places, weights = [], []
        for start, each in zip(starts, pictures, strict=False):
            missing = most - len(each)
            places.append([*range(start, start + len(each)), *[start] * missing])
            weights.append([*(row.weight for row in each), *[0.0] * missing])
        mixture, controls, prompts, labels = add(rows)
        # Sizes of more than 256 pixels are not exact in bf16.
        vectors = self._together([row.vector for row in rows if row.vector is not None], torch.float32)
        return RowBatch(
            torch.cat([row.context.to(self._device, self._dtype) for row in rows]),
            vectors if labels is None else labels,
            self._together([row.guidance for row in rows if row.guidance is not None], self._dtype),
            self._together([row.channels for row in rows if row.channels is not None], self._dtype),
            torch.tensor(owners, device=self._device),
            torch.tensor(places, device=self._device),
            torch.tensor(weights, device=self._device).view(len(pictures), most, 1, 1, 1),
            is_regular=len(rows) == most * len(pictures),
            mixture=mixture,
            controls=controls,
            prompts=prompts,
        )

    def _together(self, parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor | None:
        """The parts of all rows as one; None of none."""
        return torch.cat([part.to(self._device, dtype) for part in parts]) if parts else None


def blank(spec: RowSpec, context: Tensor, size: tuple[int, int], weight: float = 1.0) -> Row:
    """A row that tells nothing besides a text.

    Args:
        spec: what a row carries.
        context: of the text, [1, L, D].
        size: h and w of the latents.
        weight: of the row.
    """
    vector = context.new_zeros(1, spec.vector_width) if spec.vector_width else None
    channels = context.new_zeros(1, spec.extra_channels, *size) if spec.extra_channels else None
    guidance = context.new_zeros(1, spec.guidance_width) if spec.guidance_width else None
    return Row(context, weight, vector, guidance, channels)
