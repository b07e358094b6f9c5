"""Exact gradients of the guidance losses with respect to the decoded latents, in little memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from worker.guidance.cutouts import Cutouts, make_cutouts
from worker.guidance.objectives import PIXEL_LOSSES, ClipTerms, Loss

# Gradients through a CLIP underflow in fp16. A power of two scales them without rounding, for all types alike.
LOSS_SCALE = 2.0**12


class Embeds(Protocol):
    """A CLIP's image tower."""

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

    The pictures are decoded together once and become leaves. Their cutouts pass through the CLIPs chunk by chunk, and
    each chunk adds to the gradients of its pictures. One vector-Jacobian product of the decoder carries these to the
    latents. Pictures are independent of each other, so the gradient of the sum of their losses holds each one's own.
    Memory is that of one chunk and one decoding, for any number of cutouts, CLIPs and objectives. The result is that of
    the whole graph, one picture at a time, up to the order of additions.

    Args:
        latents: of the pictures to decode, [B, C, h, w].
        losses: of each picture.
        decode: latents to pictures [B, 3, H, W] in [0, 1], differentiable, in its model's dtype.
        clips: the CLIPs that the losses name.
        chunk: cutouts in one pass through a CLIP.
    """
    leaf = latents.detach().requires_grad_(True)
    tally = [_Tally() for _ in losses]
    with torch.enable_grad():
        decoded = decode(leaf)
        # Sums over many cutouts are kept in single precision at least.
        wide = torch.promote_types(decoded.dtype, torch.float32)
        pictures = decoded.detach().to(wide).requires_grad_(True)
        for clip in dict.fromkeys(terms.clip for loss in losses for terms in loss.clip_terms):
            _add_clip_gradients(pictures, losses, clip, clips[clip], chunk, tally)
        _add_pixel_gradients(pictures, losses, tally)
        if pictures.grad is None:
            raise ValueError("no loss has any term")
        values = vector_jacobian(decoded, leaf, pictures.grad / LOSS_SCALE)
    return [one.gradient(value) for one, value in zip(tally, values.split(1), strict=True)]


def _add_clip_gradients(
    pictures: Tensor, losses: Sequence[Loss], name: str, clip: Embeds, chunk: int, tally: "list[_Tally]"
) -> None:
    """Add the gradients of the terms of one CLIP to those of the pictures."""
    by_owner: dict[int, tuple[ClipTerms, float]] = {}
    for owner, loss in enumerate(losses):
        for terms in (terms for terms in loss.clip_terms if terms.clip == name):
            by_owner[owner] = terms, 1 / len(terms.cutouts) if loss.reduction == "mean" else 1.0
    every = Cutouts.together([terms.cutouts for terms, _ in by_owner.values()])
    owner_of = torch.tensor(
        [owner for owner, (terms, _) in by_owner.items() for _ in range(len(terms.cutouts))]
    )
    for start in range(0, len(every), chunk):
        owners = owner_of[start : start + chunk]
        part = every.part(start, start + chunk).to(pictures.device, pictures.dtype)
        embeddings = clip.embed(make_cutouts(pictures.index_select(0, owners.to(pictures.device)), part))
        total = embeddings.new_zeros(())
        for owner in owners.unique().tolist():
            terms, share = by_owner[owner]
            own = embeddings[(owners == owner).to(embeddings.device)]
            for term in terms.terms:
                value = share * term.loss(own).sum()
                tally[owner].add(term.objective, term.weight, value)
                total = total + term.weight * value
        (total * LOSS_SCALE).backward()


def _add_pixel_gradients(pictures: Tensor, losses: Sequence[Loss], tally: "list[_Tally]") -> None:
    """Add the gradients of the pixel losses to those of the pictures."""
    for owner, loss in enumerate(losses):
        for term in loss.pixel_terms:
            value = PIXEL_LOSSES[term.property](pictures[owner : owner + 1])[0]
            tally[owner].add(term.objective, term.weight, value)
            (term.weight * value * LOSS_SCALE).backward()


def vector_jacobian(outputs: Tensor, inputs: Tensor, gradients: Tensor) -> Tensor:
    """The vector-Jacobian product of a network, row by row.

    Small gradients underflow in half precision. The product is linear, so each row is scaled by a power of two to about
    1 before, and back after.

    Args:
        outputs: [B, ...], computed from ``inputs``.
        inputs: [B, C, h, w].
        gradients: with respect to the outputs, of their shape.
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
