"""The controls of a run: which rows read which maps, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.requests.conditions.controls import ControlMode
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.plan import Pass
from worker.canvas import Canvas
from worker.rows import ControlUse, Emphasis, Row
from worker.sampling.conditions.conditioning import Conditions
from worker.sampling.conditions.windows import by_windows

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
        conditions: of the run.
        request: of the picture.
        hints: the maps of its controls, by the width and height of a pass.
        part: the pass.
    """
    if not request.controls:
        return conditions
    maps = hints[part.width, part.height]

    def tell(row: Row, step: int, is_negative: bool) -> Row:
        return replace(row, controls=_uses(request, maps, step, is_negative=is_negative))

    return by_windows(conditions, request, request.controls, tell)


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
