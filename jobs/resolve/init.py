"""Resolve the picture that a run starts from: fill in the defaults, and refuse a run of no step."""

from math import ceil

from jobs.errors import InvalidRequestError
from jobs.requests.start.init import Init, ResolvedInit
from jobs.requests.start.plan import MAX_STEPS, plan_from_picture


def resolve_init(asked: Init | None, steps: int) -> ResolvedInit | None:
    """The picture to start from, with its plan; None without one.

    Args:
        asked: of the request.
        steps: of the request, with its default.

    Raises:
        InvalidRequestError: the strength runs no step, or plans too many.
    """
    if asked is None:
        return None
    plan = plan_from_picture(steps, asked.strength, exact=asked.exact_steps)
    if not plan.run:
        raise InvalidRequestError(
            f"a strength of {asked.strength:g} runs none of {steps} steps; the smallest that runs one is "
            f"{_next_thousandth(1 / steps):g}, or set init.exact_steps",
            field="init.strength",
        )
    if plan.planned > MAX_STEPS:
        raise InvalidRequestError(
            f"{steps} exact steps at a strength of {asked.strength:g} are the end of {plan.planned} planned ones, and "
            f"at most {MAX_STEPS} are planned; give a strength of {_next_thousandth(steps / MAX_STEPS):g} or more",
            field="init.strength",
        )
    return ResolvedInit(
        image=asked.image,
        strength=asked.strength,
        exact_steps=asked.exact_steps,
        fit=asked.fit,
        steps_planned=plan.planned,
        steps_run=plan.run,
    )


def _next_thousandth(value: float) -> float:
    """Rounded up, so that it is enough."""
    return ceil(1000 * value) / 1000
