"""The base of everything that crosses a process boundary."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Immutable, and without fields that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
