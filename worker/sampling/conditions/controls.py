"""The controls of a run: which rows read which maps, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.requests.conditions.controls import ControlMode, ResolvedControl
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass
from worker.canvas import Canvas
from worker.rows import ControlUse, Emphasis
from worker.sampling.conditions.conditioning import Conditions

_EMPHASES = {
    ControlMode.BALANCED: Emphasis.FLAT,
    ControlMode.PROMPT: Emphasis.SOFT,
    ControlMode.CONTROL: Emphasis.SOFT,
    ControlMode.GUESS: Emphasis.RISING,
}
_SPARES_THE_NEGATIVE_PROMPT = {ControlMode.CONTROL, ControlMode.GUESS}


def controlled(
    conditions: Conditions,
    request: ResolvedRequest,
    hints: Mapping[tuple[int, int], tuple[Canvas, ...]],
    part: Pass,
) -> Conditions:
    """Conditions with the request's controls in their rows.

    Args:
        conditions: of the run; the negative prompt's row is the last, if there is one.
        request: of the picture.
        hints: the maps of its controls, by the width and height of a pass.
        part: the pass.
    """
    if not request.controls:
        return conditions
    maps = hints[part.width, part.height]
    steps = range(request.steps)
    last_steps = {step for step in steps if step + 1 == request.steps or _differ(request, step)}
    last_steps |= {last_step for last_step, _ in conditions.spans}
    spans = []
    for last_step in sorted(last_steps):
        rows = conditions.at(last_step)
        negative = len(rows) - 1 if request.unconditional_weight else None
        uses = (_uses(request, maps, last_step, is_negative=place == negative) for place in range(len(rows)))
        spans.append(
            (last_step, tuple(replace(row, controls=its) for row, its in zip(rows, uses, strict=True)))
        )
    return Conditions(tuple(spans))


def _uses(
    request: ResolvedRequest, maps: Sequence[Canvas], step: int, *, is_negative: bool
) -> tuple[ControlUse, ...]:
    return tuple(
        ControlUse(control.model, canvas, control.weight, _EMPHASES[control.mode])
        for control, canvas in zip(request.controls, maps, strict=True)
        if control.weight
        and control.is_active(step, request.steps)
        and not (is_negative and control.mode in _SPARES_THE_NEGATIVE_PROMPT)
    )


def _differ(request: ResolvedRequest, step: int) -> bool:
    """Whether other controls count in the next step."""
    return any(_changes(control, step, request.steps) for control in request.controls)


def _changes(control: ResolvedControl, step: int, steps: int) -> bool:
    return control.is_active(step, steps) != control.is_active(step + 1, steps)
