"""Resolve a request's adapters: fill in the defaults, and refuse those that are not for its model."""

from collections.abc import Sequence

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.adapters import Adapter, AdapterKind, ResolvedAdapter
from jobs.resolve.conditions.made_for import made_for
from jobs.resolve.conditions.windows import require_a_step


def resolve_adapters(
    asked: Sequence[Adapter], card: ModelCard, catalog: Catalog, steps: int
) -> tuple[ResolvedAdapter, ...]:
    """The adapters of a request.

    Args:
        asked: of the caller.
        card: of the request's model.
        catalog: the adapters.
        steps: of the request, with its default.

    Raises:
        InvalidRequestError: the catalog does not hold one; or one is for other models, is named twice, is a DoRA
            beside another, or changes no step.
    """
    names: set[str] = set()
    resolved = []
    for number, adapter in enumerate(asked):
        field = f"adapters.{number}"
        if adapter.name in names:
            raise InvalidRequestError(f"the adapter {adapter.name!r} is named twice", field=f"{field}.name")
        names.add(adapter.name)
        resolved.append(_resolved(adapter, field, card, catalog))
        if len(asked) > 1 and catalog.adapter(adapter.name).kind is AdapterKind.DORA:
            raise InvalidRequestError(
                f"the adapter {adapter.name!r} is a DoRA, and a request has it alone", field=f"{field}.name"
            )
        require_a_step(resolved[-1], steps, field)
    return tuple(resolved)


def _resolved(asked: Adapter, field: str, card: ModelCard, catalog: Catalog) -> ResolvedAdapter:
    fitting = catalog.adapters_of(card)
    known = made_for(card, catalog.adapter, fitting, asked.name, "adapter", f"{field}.name")
    weight = known.weight if asked.weight is None else asked.weight
    return ResolvedAdapter(
        name=known.id,
        weight=weight,
        text_weight=weight if asked.text_weight is None else asked.text_weight,
        start=asked.start,
        end=asked.end,
    )
