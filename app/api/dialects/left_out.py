"""Fields that another service's client sends without a value: null, or an empty text."""

from typing import Any

from pydantic import BaseModel, model_validator

from jobs.wire import former_names

# Here an empty text says something.
_TEXTS = frozenset({"prompt", "negative_prompt"})


class LeavesOut(BaseModel):
    """The base of a dialect's bodies: a null or empty optional field counts as left out."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        optional |= {old for old, new in former_names(cls).items() if new in optional}
        return {
            name: value
            for name, value in body.items()
            if name not in optional or not (value is None or (value == "" and name not in _TEXTS))
        }
