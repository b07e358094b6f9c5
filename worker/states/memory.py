"""What a picture's run through its noise levels remembers: taken out of its latent state, and put back."""

from collections.abc import Mapping

from torch import Tensor

from worker.latents import LatentState, Stack
from worker.patterns import PARTS, X


def parts_of(state: LatentState) -> dict[str, Tensor]:
    """The parts that later calls read, by their names, [1, C, h, w] each, on the CPU.

    Others may lie beside them: a batch has a part if one of its pictures has it.
    """
    made = state.run.patterns[state.call - 1].parts if state.call else ()
    own = {X, *(place for place, how in enumerate(made) if how is not None)}
    found = ((PARTS[place], state.stack.parts[place]) for place in sorted(own))
    # Copies: the next call writes to them.
    return {
        name: part[state.row : state.row + 1].to("cpu", copy=True) for name, part in found if part is not None
    }


def put_back(state: LatentState, parts: Mapping[str, Tensor], call: int) -> None:
    """Let a run go on before this call, from these parts."""
    tensors = (parts.get(name) for name in PARTS)
    state.stack = Stack(tuple(None if part is None else part.to(state.device, copy=True) for part in tensors))
    state.row, state.call = 0, call
