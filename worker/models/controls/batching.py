"""The controls of a batch's rows: each ControlNet runs once, on the rows that use it.

Its residuals are scaled by the row and added to zeros, so rows without a control keep their picture: adding zero to a
skip changes no bit of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.models.controls.control import Added, Control
from worker.rows import ControlUse, Row

FindControl = Callable[[str], Control]  # by its id in the catalog


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of a batch that use one ControlNet; a row is here once for each of its maps.

    Attributes:
        control: in memory.
        rows: their numbers, [G].
        maps: as encoded, [G, c, h, w].
        scales: of each row's residuals, [G, n + 1].
    """

    control: Control
    rows: Tensor
    maps: Tensor
    scales: Tensor

    def residuals(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, added: Added = None
    ) -> list[Tensor]:
        """The scaled residuals, each [B, c, h, w], for all B rows of the batch."""
        rows, spread = self.rows, []
        own = latents.index_select(0, rows), timesteps.index_select(0, rows), context.index_select(0, rows)
        told = None if added is None else {name: value.index_select(0, rows) for name, value in added.items()}
        for number, residual in enumerate(self.control.residuals(*own, self.maps, told)):
            scaled = residual * self.scales[:, number].to(residual.dtype).view(-1, 1, 1, 1)
            spread.append(residual.new_zeros(len(latents), *residual.shape[1:]).index_add(0, rows, scaled))
        return spread


@dataclass(frozen=True, eq=False)
class Controls:
    """All controls of a batch."""

    groups: tuple[Group, ...]

    def residuals(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, added: Added = None
    ) -> list[Tensor]:
        """The sums of the groups' residuals, the UNet's middle last.

        Args:
            latents: [B, C, h, w], as the ControlNets read them.
            timesteps: [B].
            context: [B, L, D].
            added: what SDXL's networks are told besides, by diffusers' names, each [B, ...]; None of other models.
        """
        each = [group.residuals(latents, timesteps, context, added) for group in self.groups]
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


def _group(control: Control, uses: Sequence[tuple[int, ControlUse]], device: torch.device) -> Group:
    scales = [use.emphasis.scales(use.weight, control.residuals_count - 1) for _, use in uses]
    return Group(
        control,
        torch.tensor([number for number, _ in uses], device=device),
        control.encode_maps([use.canvas for _, use in uses]),
        torch.tensor(scales, device=device),
    )
