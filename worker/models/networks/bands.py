"""Convolutions and norms of maps that are larger than a device has room for: a band of rows at a time.

A map is a tensor [1, C, H, W] that need not be on the device. Each operation reads the rows that a band of its result
depends on, computes the band on the device, and writes it. So the result is that of the operation on the whole map, up
to rounding, and the device holds one band of each map.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COPIES = 6  # of a band, as it is read, normalised, activated, padded and answered

Change = Callable[[Tensor], Tensor]
"""From rows of a map on the device to as many, each of which depends on its own number alone."""


def unchanged(rows: Tensor) -> Tensor:
    """The rows themselves."""
    return rows


@dataclass(frozen=True)
class Bands:
    """Where maps are kept and computed.

    Attributes:
        device: that computes.
        home: the device that keeps them.
        band_bytes: of the device, for one band of an operation.
    """

    device: torch.device
    home: torch.device
    band_bytes: float

    def convolved(self, x: Tensor, conv: nn.Conv2d, before: Change = unchanged) -> Tensor:
        """A map after a change and a convolution that keeps its height and width."""
        return self._written(x, conv, (x.shape[2], x.shape[3]), partial(self._convolved, x, conv, before))

    def add_convolved(self, to: Tensor, x: Tensor, conv: nn.Conv2d, before: Change) -> None:
        """Add a map after a change and a convolution to another one, in its place."""
        for top, bottom in self._bands(x.shape[2], x.shape[1] + conv.out_channels, x.shape[3]):
            band = self._convolved(x, conv, before, top, bottom)
            to[:, :, top:bottom] += band.to(self.home)

    def enlarged(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        """A map at twice its height and width, each number repeated, and then convolved."""

        def band(top: int, bottom: int) -> Tensor:
            # Rows 2i and 2i + 1 of the larger map are row i; it has one more on each side of the band for the kernel.
            first, last = (top - 1) // 2, bottom // 2 + 1
            large = F.interpolate(self._rows(x, first, last), scale_factor=2.0, mode="nearest")
            return _of_rows(large[:, :, top - 1 - 2 * first : bottom + 1 - 2 * first], conv)

        return self._written(x, conv, (2 * x.shape[2], 2 * x.shape[3]), band)

    def halved(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        """A map after a convolution that takes every second row and column, with a zero after the last of each."""

        def band(top: int, bottom: int) -> Tensor:
            return F.conv2d(
                F.pad(self._rows(x, 2 * top, 2 * bottom + 1), (0, 1)), conv.weight, conv.bias, stride=2
            )

        return self._written(x, conv, (x.shape[2] // 2, x.shape[3] // 2), band)

    def normalised(self, x: Tensor, norm: nn.GroupNorm) -> Change:
        """The change that a group norm and SiLU make to a map, by the mean and the variance of all of it.

        The moments of the bands are put together as Chan, Golub and LeVeque (1979) do it.
        """
        number, mean, squares = 0, torch.zeros(norm.num_groups), torch.zeros(norm.num_groups)
        mean, squares = (each.to(self.device, torch.float64) for each in (mean, squares))
        for top, bottom in self._bands(x.shape[2], x.shape[1], x.shape[3]):
            groups = self._rows(x, top, bottom).float().reshape(norm.num_groups, -1)
            variance, middle = (each.double() for each in torch.var_mean(groups, dim=1, correction=0))
            more = groups.shape[1]
            away, number = middle - mean, number + more
            mean = mean + away * more / number
            squares = squares + variance * more + away.square() * more * (number - more) / number
        deviation = (squares / number + norm.eps).sqrt()
        each = x.shape[1] // norm.num_groups
        scale = norm.weight.double() / deviation.repeat_interleave(each)
        shift = norm.bias.double() - mean.repeat_interleave(each) * scale
        scale, shift = (each.float().view(-1, 1, 1) for each in (scale, shift))
        return lambda rows: F.silu((rows.float() * scale + shift).to(rows.dtype))

    def _written(
        self, x: Tensor, conv: nn.Conv2d, size: tuple[int, int], band: Callable[[int, int], Tensor]
    ) -> Tensor:
        """A map of this height and width, band by band, each made on the device from rows of ``x``."""
        height, width = size
        made = x.new_empty(1, conv.out_channels, height, width, device=self.home)
        for top, bottom in self._bands(height, x.shape[1] + conv.out_channels, width):
            made[:, :, top:bottom] = band(top, bottom)
        return made

    def _convolved(self, x: Tensor, conv: nn.Conv2d, before: Change, top: int, bottom: int) -> Tensor:
        beside = conv.kernel_size[0] // 2
        return _of_rows(self._rows(x, top - beside, bottom + beside, before), conv)

    def _rows(self, x: Tensor, top: int, bottom: int, change: Change = unchanged) -> Tensor:
        """Rows of a map on the device after a change; those above and below the map are zero, as in a convolution."""
        inside = change(x[:, :, max(top, 0) : bottom].to(self.device))
        return F.pad(inside, (0, 0, max(-top, 0), max(bottom - x.shape[2], 0)))

    def _bands(self, height: int, channels: int, width: int) -> Iterator[tuple[int, int]]:
        """First row and last one, exclusive, of bands of maps that have so many channels together."""
        rows = max(2, int(self.band_bytes / (COPIES * channels * width * 4)))
        yield from ((top, min(top + rows, height)) for top in range(0, height, rows))


def _of_rows(rows: Tensor, conv: nn.Conv2d) -> Tensor:
    """A convolution of rows that have their neighbours above and below with them."""
    return F.conv2d(rows, conv.weight, conv.bias, padding=(0, conv.kernel_size[1] // 2))
