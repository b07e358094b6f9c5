"""The controls of a batch's rows: each network runs once, on the rows that use it.

Its additions are scaled by the row and added to zeros, so rows without a control keep their picture: adding zero to a
skip changes no bit of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.models.controls.control import Control, Place, UNetCall
from worker.rows import ControlUse, Row

FindControl = Callable[[str], Control]  # by its id in the catalog


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of a batch that use one control; a row is here once for each of its maps.

    Attributes:
        control: in memory.
        rows: their numbers, [G].
        read: of their maps, each [G, ...].
        scales: of each row's additions, [G, n].
    """

    control: Control
    rows: Tensor
    read: tuple[Tensor, ...]
    scales: Tensor

    def additions(self, call: UNetCall) -> list[Tensor]:
        """The scaled additions, each [B, c, h, w], for all B rows of the batch."""
        count, added = len(call.latents), []
        for number, addition in enumerate(self.control.additions(call.of(self.rows), self.read)):
            scaled = addition * self.scales[:, number].to(addition.dtype).view(-1, 1, 1, 1)
            added.append(addition.new_zeros(count, *addition.shape[1:]).index_add(0, self.rows, scaled))
        return added


@dataclass(frozen=True, eq=False)
class Controls:
    """All controls of a batch."""

    groups: tuple[Group, ...]

    def for_unet(self, call: UNetCall) -> dict[str, Any]:
        """What the UNet adds in a call: the sums of the groups' additions, under the names of its arguments."""
        added: dict[str, Any] = {}
        if skips := self._sums(Place.SKIPS, call):
            *down, middle = skips
            added |= {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        if blocks := self._sums(Place.BLOCKS, call):
            added["down_intrablock_additional_residuals"] = blocks
        return added

    def _sums(self, place: Place, call: UNetCall) -> list[Tensor]:
        each = [group.additions(call) for group in self.groups if group.control.place is place]
        return [sum(others, start=first) for first, *others in zip(*each, strict=True)]


def controls_of(rows: Sequence[Row], find: FindControl, device: torch.device) -> Controls | None:
    """The controls of a batch's rows; None where none has any."""
    uses: dict[str, list[tuple[int, ControlUse]]] = {}
    for number, row in enumerate(rows):
        for use in row.controls:
            uses.setdefault(use.control, []).append((number, use))
    if not uses:
        return None
    return Controls(tuple(_group(find(name), its, device) for name, its in sorted(uses.items())))


def _group(control: Control, numbered: Sequence[tuple[int, ControlUse]], device: torch.device) -> Group:
    scales = [control.scales(use.weight, use.emphasis) for _, use in numbered]
    return Group(
        control,
        torch.tensor([number for number, _ in numbered], device=device),
        control.read([use.canvas for _, use in numbered]),
        torch.tensor(scales, device=device),
    )
