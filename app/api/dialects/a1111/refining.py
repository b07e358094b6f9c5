"""A1111's refiner: a checkpoint that takes the last part of the run."""

from typing import Any

from app.api.dialects.a1111.checkpoints import card_of
from jobs.catalog.catalog import Catalog


def refiner_of(checkpoint: str | None, switch_at: float | None, catalog: Catalog) -> dict[str, Any] | None:
    """The native refiner; None for none, which A1111's pages call ``None``.

    Args:
        checkpoint: as A1111 names models.
        switch_at: share of the noise after which it takes over; there is no such part from 1 on.
        catalog: the models.

    Raises:
        UnknownModelError: the catalog does not hold it.
    """
    if checkpoint is None or checkpoint.lower() in {"", "none"} or (switch_at is not None and switch_at >= 1):
        return None
    named = {"model": card_of(checkpoint, catalog, field="refiner_checkpoint").id}
    return named if switch_at is None else {**named, "switch_at": switch_at}
