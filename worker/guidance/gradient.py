"""The gradients of the guidance losses with respect to the latents that are decoded, exact and in little memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from worker.guidance.cutouts import Views, make_views
from worker.guidance.objectives import PIXEL_LOSSES, ClipTerms, Loss

# Gradients through a CLIP underflow in fp16. A power of two scales them without rounding, for all types alike.
LOSS_SCALE = 2.0**12


class Embeds(Protocol):
    """A CLIP, as far as guidance is concerned."""

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, px, px] in [0, 1] as unit vectors [N, E]; differentiable."""


@dataclass(frozen=True)
class Gradient:
    """Of the loss at one step of one picture."""

    loss: float
    losses: Mapping[int, float]  # of each objective, without its weight
    value: Tensor  # [1, C, h, w], of the latents' type and device
    finite: bool  # False when the gradient overflowed and ``value`` is zero instead


def guidance_gradients(
    latents: Tensor,
    losses: Sequence[Loss],
    *,
    decode: Callable[[Tensor], Tensor],
    clips: Mapping[str, Embeds],
    chunk: int,
) -> list[Gradient]:
    """Differentiate the loss of each picture with respect to its latents.

    The pictures are decoded together once and made leaves; the views of all are judged chunk by chunk, each adding to
    its picture's gradient; one vector-Jacobian product of the decoder then carries them to the latents. Pictures are
    independent of each other, so the gradient of the sum of their losses holds each one's own. Memory is that of one
    chunk and one decoding, whatever the number of views, CLIPs and objectives; the result is that of the whole graph,
    one picture at a time, up to the order of additions.

    Args:
        latents: what is decoded, [B, C, h, w].
        losses: how each picture is judged.
        decode: latents to pictures [B, 3, H, W] in [0, 1], differentiable, in its model's dtype.
        clips: the CLIPs that the losses name.
        chunk: views judged at a time.
    """
    leaf = latents.detach().requires_grad_(True)
    tally = [_Tally() for _ in losses]
    with torch.enable_grad():
        decoded = decode(leaf)
        # Sums over many views are kept in single precision at least.
        wide = torch.promote_types(decoded.dtype, torch.float32)
        pictures = decoded.detach().to(wide).requires_grad_(True)
        for clip in dict.fromkeys(sight.clip for loss in losses for sight in loss.clip_terms):
            _judge_views(pictures, losses, clip, clips[clip], chunk, tally)
        _judge_pixels(pictures, losses, tally)
        if pictures.grad is None:
            raise ValueError("no loss has any term")
        values = vector_jacobian(decoded, leaf, pictures.grad / LOSS_SCALE)
    return [one.gradient(value) for one, value in zip(tally, values.split(1), strict=True)]


def _judge_views(
    pictures: Tensor, losses: Sequence[Loss], name: str, clip: Embeds, chunk: int, tally: "list[_Tally]"
) -> None:
    """Add the gradients of all that one CLIP sees to the pictures'."""
    sights: dict[int, tuple[ClipTerms, float]] = {}
    for owner, loss in enumerate(losses):
        for sight in (sight for sight in loss.clip_terms if sight.clip == name):
            sights[owner] = sight, 1 / len(sight.views) if loss.reduction == "mean" else 1.0
    every = Views.together([sight.views for sight, _ in sights.values()])
    owner_of = torch.tensor([owner for owner, (sight, _) in sights.items() for _ in range(len(sight.views))])
    for start in range(0, len(every), chunk):
        owners = owner_of[start : start + chunk]
        part = every.part(start, start + chunk).to(pictures.device, pictures.dtype)
        embeddings = clip.embed(make_views(pictures.index_select(0, owners.to(pictures.device)), part))
        total = embeddings.new_zeros(())
        for owner in owners.unique().tolist():
            sight, share = sights[owner]
            own = embeddings[(owners == owner).to(embeddings.device)]
            for term in sight.terms:
                value = share * term.loss(own).sum()
                tally[owner].add(term.objective, term.weight, value)
                total = total + term.weight * value
        (total * LOSS_SCALE).backward()


def _judge_pixels(pictures: Tensor, losses: Sequence[Loss], tally: "list[_Tally]") -> None:
    """Add the gradients of total variation and the like to the pictures'."""
    for owner, loss in enumerate(losses):
        for term in loss.pixel_terms:
            value = PIXEL_LOSSES[term.property](pictures[owner : owner + 1])[0]
            tally[owner].add(term.objective, term.weight, value)
            (term.weight * value * LOSS_SCALE).backward()


def vector_jacobian(outputs: Tensor, inputs: Tensor, gradients: Tensor) -> Tensor:
    """Gradients with respect to a network's outputs, carried back to its inputs, row by row.

    A network in half precision loses small gradients. The product is linear, so each row is scaled by a power of two to
    about 1 before, and back after.

    Args:
        outputs: [B, ...], computed from ``inputs``.
        inputs: [B, C, h, w].
        gradients: like the outputs.
    """
    largest = gradients.abs().amax(dim=(1, 2, 3), keepdim=True)
    scale = torch.exp2(-torch.floor(torch.log2(torch.where(largest > 0, largest, torch.ones_like(largest)))))
    (scaled,) = torch.autograd.grad(outputs, inputs, (gradients * scale).to(outputs.dtype))
    return scaled / scale.to(scaled)


class _Tally:
    """The losses of one picture as they add up, on its device until the end."""

    def __init__(self) -> None:
        self._losses: dict[int, Tensor] = {}
        self._total: Tensor | float = 0.0

    def add(self, objective: int, weight: float, loss: Tensor) -> None:
        loss = loss.detach()
        self._losses[objective] = self._losses.get(objective, torch.zeros_like(loss)) + loss
        self._total = self._total + weight * loss

    def gradient(self, value: Tensor) -> Gradient:
        finite = bool(value.isfinite().all())
        losses = {objective: float(loss) for objective, loss in self._losses.items()}
        return Gradient(float(self._total), losses, value if finite else torch.zeros_like(value), finite)
