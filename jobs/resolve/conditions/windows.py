"""Refuses a window that no step lies in."""

from jobs.errors import InvalidRequestError
from jobs.requests.conditions.adapters import ResolvedAdapter
from jobs.requests.conditions.controls import ResolvedControl
from jobs.requests.conditions.image_prompts import ResolvedImagePrompt

Condition = ResolvedAdapter | ResolvedControl | ResolvedImagePrompt


def require_a_step(condition: Condition, steps: int, field: str) -> None:
    """Refuse a condition that counts in no step of a run.

    Args:
        condition: of a request.
        steps: of the request.
        field: of the condition, for the error.

    Raises:
        InvalidRequestError: it does.
    """
    if not any(condition.is_active(step, steps) for step in range(steps)):
        raise InvalidRequestError(
            f"no step of {steps} lies between {condition.start:g} and {condition.end:g} of the run",
            field=f"{field}.end" if condition.start == 0 else f"{field}.start",
        )
