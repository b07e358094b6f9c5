"""Resolve a request's controls: fill in the defaults, and refuse those that are not for its model."""

from collections.abc import Sequence

from jobs.catalog.catalog import Catalog, ModelCard
from jobs.catalog.controls import ControlCard
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.conditions.controls import Control, ResolvedControl
from jobs.resolve.conditions.windows import require_a_step
from jobs.resolve.maps import map_fields


def resolve_controls(
    asked: Sequence[Control], card: ModelCard, catalog: Catalog, steps: int
) -> tuple[ResolvedControl, ...]:
    """The controls of a request.

    Args:
        asked: of the caller.
        card: of the request's model.
        catalog: the ControlNets.
        steps: of the request, with its default.

    Raises:
        InvalidRequestError: the catalog does not hold one; or one is for other models, counts in no step, or has its
            thresholds the wrong way round.
    """
    resolved = []
    for number, control in enumerate(asked):
        field = f"controls.{number}"
        known = _known(control, f"{field}.model", card, catalog)
        own = control.model_dump(include={"weight", "start", "end", "mode"})
        made = map_fields(control, known.preprocess, field)
        resolved.append(ResolvedControl.model_validate({"model": known.id, **own, **made}))
        require_a_step(resolved[-1], steps, field)
    return tuple(resolved)


def _known(asked: Control, field: str, card: ModelCard, catalog: Catalog) -> ControlCard:
    try:
        known = catalog.control(asked.model)
    except UnknownModelError as error:
        raise InvalidRequestError(error.message, field=field) from error
    if not known.fits(card.names):
        fitting = ", ".join(each.id for each in catalog.controls_of(card)) or "none"
        raise InvalidRequestError(
            f"the ControlNet {known.id!r} is made for {', '.join(known.base)}, not for model {card.id!r}; "
            f"made for that: {fitting}",
            field=field,
        )
    return known
