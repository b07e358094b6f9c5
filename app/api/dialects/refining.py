"""The fields of SDXL on Replicate that ask for its refiner. For every dialect that takes native fields."""

from typing import Any

from pydantic import BaseModel, Field

from app.api.dialects.conditions import Conditions
from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.families import FamilyName

_ENSEMBLE, _NONE = "expert_ensemble_refiner", "no_refiner"


class RefinerFields(BaseModel):
    """The fields. Published snippets send them to every model, so what cannot be served has no effect."""

    refine: Any = Field(
        None,
        description=f"`{_ENSEMBLE}`: the first refiner of the catalog takes the last steps of a model of the family "
        f"`sdxl`. `{_NONE}`: none does. Otherwise without effect.",
    )
    high_noise_frac: Any = Field(
        None, description="`refiner.switch_at` with that `refine`. Otherwise without effect."
    )
    refine_steps: Any = Field(None, description="Without effect: the refiner takes steps of the same run.")


def refiner_fields(body: RefinerFields, card: ModelCard, catalog: Catalog, within: str = "") -> Conditions:
    """The native ``refiner`` that a body stands for; none where the model or the catalog has none.

    Args:
        body: also may have the native one.
        card: of the request's model.
        catalog: of the models.
        within: what stands before a field's name in an error.

    Raises:
        InvalidRequestError: it has it by both names.
    """
    held = {each.family for each in catalog.models}
    if body.refine != _ENSEMBLE or card.family is not FamilyName.SDXL or FamilyName.SDXL_REFINER not in held:
        return Conditions({}, {})
    if getattr(body, "refiner", None) is not None:
        raise InvalidRequestError(
            "refine and refiner are the same: give one of them", field=f"{within}refine"
        )
    share = body.high_noise_frac
    names = {"refiner": f"{within}refine", "refiner.switch_at": f"{within}high_noise_frac"}
    return Conditions({"refiner": {} if share is None else {"switch_at": share}}, names)


def unread_refiner_fields(body: RefinerFields, *, is_refined: bool) -> list[str]:
    """The given fields that have no effect.

    Args:
        body: with the fields.
        is_refined: whether the native request has a refiner.
    """
    read = {"refine"} if body.refine == _NONE else set()
    if is_refined and body.refine == _ENSEMBLE:
        read = {"refine", "high_noise_frac"}
    given = (name for name in RefinerFields.model_fields if getattr(body, name) is not None)
    return [name for name in given if name not in read]
