"""Resolve the picture that a run starts from: fill in the defaults, and refuse a run of no step."""

from jobs.errors import InvalidRequestError
from jobs.requests.start.init import Init, ResolvedInit
from jobs.requests.start.plan import MAX_STEPS, StepPlan, least_strength, plan_from_picture


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
    strength = asked.strength
    if "strength" not in asked.model_fields_set:
        strength = max(strength, least_strength(steps, exact=asked.exact_steps))
    plan = plan_from_picture(steps, strength, exact=asked.exact_steps)
    if not plan.run:
        raise InvalidRequestError(
            f"a strength of {strength:g} runs none of {steps} steps; the smallest that runs one is "
            f"{least_strength(steps):g}, or set init.exact_steps",
            field="init.strength",
        )
    require_planned(plan, strength, "init.strength")
    return ResolvedInit(
        image=asked.image,
        strength=strength,
        exact_steps=asked.exact_steps,
        fit=asked.fit,
        steps_planned=plan.planned,
        steps_run=plan.run,
    )


def require_planned(plan: StepPlan, strength: float, field: str) -> None:
    """Refuse an exact number of steps of too long a plan.

    Raises:
        InvalidRequestError: the strength of this field plans too many.
    """
    if plan.planned > MAX_STEPS:
        raise InvalidRequestError(
            f"{plan.run} exact steps at a strength of {strength:g} are the end of {plan.planned} planned ones, and "
            f"at most {MAX_STEPS} are planned; give a strength of {least_strength(plan.run, exact=True):g} or more",
            field=field,
        )
