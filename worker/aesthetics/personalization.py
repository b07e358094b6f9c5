"""Aesthetic gradients: fit a private copy of the text encoder to a taste for a few steps, and use what it says.

Gallego, "Personalizing Text-to-Image Generation via Aesthetic Gradients" (2022, arXiv 2209.12330), with the additions
of the web UI's widely used extension: a weight and a blend with the encoder's own words, and a text that turns the
taste.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError

CACHE_SIZE = 64
# Of what an encoder and a CLIP say of one text. Fine-tuning leaves much more, and unrelated encoders have about 0.
LEAST_KINSHIP = 0.25


@dataclass(frozen=True)
class Tuning:
    """What the tuned text encoder depends on, besides the model and the prompt.

    Attributes:
        digest: of the embedding's vector.
        steps: T, the number of Adam steps.
        lr: Adam's learning rate.
        text: turns the embedding towards this text, or away from it; None leaves it.
        text_angle: how far, as a share of the angle between the two.
        text_negative: away from the text, not towards it.
    """

    digest: str
    steps: int
    lr: float
    text: str | None = None
    text_angle: float = 0.0
    text_negative: bool = False


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation along the last axis (Shoemake 1985): a at t = 0, b at t = 1.

    Of vectors of other lengths than one, each keeps its own length at its end. Where the two point the same way, or
    exactly apart, there is no one arc, and the straight line is taken.

    Args:
        a: [..., D].
        b: [..., D].
        t: in [0, 1].
    """
    cos = (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(dim=-1, keepdim=True).clamp(-1, 1)
    omega = cos.acos()
    so = omega.sin()
    is_line = so < 1e-4
    so = so.masked_fill(is_line, 1)
    arc = ((1 - t) * omega).sin() / so * a + (t * omega).sin() / so * b
    return torch.where(is_line, (1 - t) * a + t * b, arc)


def blended(own: Tensor, tuned: Tensor, weight: float, blend: Literal["lerp", "slerp"]) -> Tensor:
    """The conditioning [..., L, D]: the encoder's own words at weight 0, the tuned ones at weight 1.

    ``slerp`` turns each token's vector by itself.
    """
    if blend == "slerp":
        return slerp(own, tuned, weight)
    return (1 - weight) * own + weight * tuned


def turned(direction: Tensor, text: Tensor, angle: float, *, negative: bool) -> Tensor:
    """A taste turned towards a text, or away from it: e' = slerp(e, t, angle), with t = unit(e - t) for away.

    Args:
        direction: unit vector [E].
        text: unit vector [E].
        angle: share of the way, in [0, 1].
        negative: away.

    Returns:
        Unit vector [E].
    """
    goal = F.normalize(direction - text, dim=0) if negative else text
    return F.normalize(slerp(direction, goal, angle), dim=0)


def tuned_states(
    encoder: Module,
    projection: Tensor,
    tokens: Tensor,
    direction: Tensor,
    *,
    steps: int,
    lr: float,
    completion: Callable[[Tensor, Tensor], Tensor] | None = None,
    known: Tensor | None = None,
) -> Tensor:
    """The last hidden states [N, L, D] of a text encoder after T steps of Adam on a copy of its weights.

    The loss is -mean_n(unit(project(text_n)) . e). All weights of the encoder are tuned, token and position embeddings
    included; the projection is not. The encoder itself is only read: the copy is float32, whatever the encoder is, and
    lives as long as this call. Memory: four times the encoder in float32 (weights, gradients, two moments).

    Args:
        encoder: a transformers ``CLIPTextModel``, frozen and in eval mode.
        projection: from its pooled output to the CLIP's space, [D, E].
        tokens: ids [N, L], one row for each window of the prompt.
        direction: e, the taste as a unit vector [E].
        steps: T.
        lr: Adam's learning rate.
        completion: for an encoder without its CLIP's last layers, what these and the projection make of its states
            [N, L, D] before the last norm, and of the tokens: embeddings [N, E], differentiable.
        known: what the CLIP says of the first window, a unit vector [E], to see that the encoder is of its kin.

    Raises:
        ModelUnavailableError: it is not.
    """
    device = tokens.device
    goal = direction.to(device, torch.float32)
    to_space = projection.to(device, torch.float32)
    with torch.inference_mode(False), torch.enable_grad():
        weights = {
            name: weight.detach().to(torch.float32, copy=True).requires_grad_(True)
            for name, weight in encoder.named_parameters()
        }
        adam = torch.optim.Adam(weights.values(), lr=lr)
        # Tensors made under inference mode may not enter a graph.
        ids, goal, to_space = tokens.clone(), goal.clone(), to_space.clone()
        for _ in range(steps):
            if completion is None:
                embeddings = functional_call(encoder, weights, (ids,)).pooler_output @ to_space
            else:
                embeddings = completion(_states_before_norm(encoder, weights, ids), ids)
            embeddings = F.normalize(embeddings, dim=-1)
            if known is not None:
                _require_kinship(embeddings[0], known)
                known = None  # what is tuned may move away
            similarity = embeddings @ goal
            adam.zero_grad()
            (-similarity.mean()).backward()
            adam.step()
    with torch.no_grad():
        hidden: Tensor = functional_call(encoder, weights, (ids,)).last_hidden_state
    return hidden


def _require_kinship(said: Tensor, known: Tensor) -> None:
    kinship = float(said.detach() @ known.to(said))
    if kinship < LEAST_KINSHIP:
        raise ModelUnavailableError(
            "the text encoder does not belong to the CLIP that the catalog names as its text_clip: "
            f"the cosine similarity of what both say of the prompt is {kinship:.2f}"
        )


def _states_before_norm(encoder: Module, weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """The states [N, L, D] that a text encoder's last norm is given."""
    (norm,) = (module for name, module in encoder.named_modules() if name.endswith("final_layer_norm"))
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    try:
        functional_call(encoder, weights, (ids,))
    finally:
        hook.remove()
    return seen[0]


class TuningCache:
    """Tuned states by prompt and tuning. They do not depend on the seed, the weight or the blend.

    One belongs to one loaded model, and goes with it.
    """

    def __init__(self, size: int = CACHE_SIZE) -> None:
        """Remember nothing yet, and ``size`` states at most."""
        self._size = size
        self._known: OrderedDict[tuple[str, Tuning], Tensor] = OrderedDict()

    def __call__(self, prompt: str, tuning: Tuning, make: Callable[[], Tensor]) -> Tensor:
        """The states for a prompt; ``make`` is called when they are not known."""
        key = (prompt, tuning)
        if key not in self._known:
            self._known[key] = make()
        self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return self._known[key]
