"""Resolve how a map is made: fill in the defaults, and refuse what makes none."""

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.conditions.maps import THRESHOLDS, MapFields, MapRequest, Preprocessor, ResolvedMap


def map_fields(asked: MapFields, default: Preprocessor, field: str = "") -> dict[str, object]:
    """The fields of how a map is made, each with its value or its default.

    Args:
        asked: of the caller.
        default: of the ControlNet.
        field: of the request that ``asked`` is.

    Raises:
        InvalidRequestError: the thresholds are the wrong way round.
    """
    if asked.low > asked.high:
        raise InvalidRequestError(
            f"an edge would begin at {asked.high:g} and go on above {asked.low:g}: give low up to high",
            field=f"{field}.low".lstrip("."),
        )
    preprocess = asked.preprocess or default
    threshold = THRESHOLDS.get(preprocess) if asked.threshold is None else asked.threshold
    given = asked.model_dump(include=set(MapFields.model_fields))
    return {**given, "preprocess": preprocess, "threshold": threshold}


def resolve_map(asked: MapRequest, catalog: Catalog) -> ResolvedMap:
    """How a map is made before any job reads it.

    Raises:
        InvalidRequestError: as for ``map_fields``, or the catalog does not hold the ControlNet.
    """
    default = Preprocessor.NONE
    if asked.model is not None:
        try:
            default = catalog.control(asked.model).preprocess
        except UnknownModelError as error:
            raise InvalidRequestError(error.message, field="model") from error
    return ResolvedMap.model_validate(map_fields(asked, default))
