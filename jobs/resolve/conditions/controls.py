"""Resolve a request's controls: fill in the defaults, and refuse those that are not for its model."""

from collections.abc import Sequence

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.requests.conditions.controls import Control, ResolvedControl
from jobs.resolve.conditions.made_for import made_for
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
        fitting, name_field = catalog.controls_of(card), f"{field}.model"
        known = made_for(card, catalog.control, fitting, control.model, "ControlNet", name_field)
        own = control.model_dump(include={"weight", "start", "end", "mode"})
        made = map_fields(control, known.preprocess, field)
        resolved.append(ResolvedControl.model_validate({"model": known.id, **own, **made}))
        require_a_step(resolved[-1], steps, field)
    return tuple(resolved)
