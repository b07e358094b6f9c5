"""The preset of guided requests in tests."""

from typing import Any


def at_every_step(fields: dict[str, Any]) -> dict[str, Any]:
    """A request's fields, whose guidance is by ``laion`` unless they name a preset: the default skips steps."""
    guidance = fields.get("guidance")
    return {**fields, "guidance": {"preset": "laion", **guidance}} if isinstance(guidance, dict) else fields
