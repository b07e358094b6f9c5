"""Exact gradients of the guidance losses with respect to the decoded latents, in little memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from worker.guidance.blur import gaussian_blur
from worker.guidance.clip_losses import ClipLosses, TermLoss
from worker.guidance.objectives import PIXEL_LOSSES, Loss

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

    def masked(self, mask: Tensor | None) -> "Gradient":
        """That with respect to what may change, bool [1, 1, h, w]; None for all."""
        return self if mask is None else replace(self, value=mask * self.value)

    def beside(self, other: "Gradient", value: Tensor) -> "Gradient":
        """This and another one of the same latents as one with this value, which may be their sum or follow from it."""
        return Gradient(
            self.loss + other.loss, {**self.losses, **other.losses}, value, self.finite and other.finite
        )


NO_GRADIENT = Gradient(0.0, {}, torch.zeros(()), finite=True)


def of_soft_minimum(drawn: Sequence[Gradient]) -> Gradient:
    """The gradient of -log mean exp(-L), from the gradients of L at each draw (Song et al. 2023, eq. 9)."""
    weights = (
        torch.tensor([-gradient.loss for gradient in drawn], dtype=torch.float64).softmax(dim=0).tolist()
    )
    weighted = list(zip(weights, drawn, strict=True))
    return Gradient(
        sum(weight * gradient.loss for weight, gradient in weighted),
        {
            number: sum(weight * gradient.losses[number] for weight, gradient in weighted)
            for number in drawn[0].losses
        },
        torch.stack([weight * gradient.value for weight, gradient in weighted]).sum(dim=0),
        all(gradient.finite for gradient in drawn),
    )


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
    with torch.enable_grad():
        decoded = decode(leaf)
        # Sums over many cutouts are kept in single precision at least.
        wide = torch.promote_types(decoded.dtype, torch.float32)
        pictures = decoded.detach().to(wide).requires_grad_(True)
        by_clip = [
            _add_clip_gradients(pictures, losses, clip, clips[clip], chunk)
            for clip in dict.fromkeys(terms.clip for loss in losses for terms in loss.clip_terms)
        ]
        _blur(pictures, losses)
        by_pixels = _add_pixel_gradients(pictures, losses)
        if pictures.grad is None:
            raise ValueError("no loss has any term")
        values = vector_jacobian(decoded, leaf, pictures.grad / LOSS_SCALE)
    finite = values.isfinite().flatten(1).all(dim=1)
    values = torch.where(finite.view(-1, 1, 1, 1), values, torch.zeros_like(values))
    # All that the host has to know, in the only read from the device.
    read = torch.cat([finite.to(wide), by_pixels, *(each.values() for each in by_clip)]).tolist()
    return _gradients(values, losses, by_clip, read)


def _add_clip_gradients(
    pictures: Tensor, losses: Sequence[Loss], name: str, clip: Embeds, chunk: int
) -> ClipLosses:
    """Add the gradients of the terms of one CLIP to those of the pictures."""
    terms = ClipLosses(name, losses, pictures)
    for start in range(0, len(terms), chunk):
        embeddings = clip.embed(terms.cutouts(start, min(start + chunk, len(terms))))
        _propagate(terms.total(embeddings, start))
    return terms


def _blur(pictures: Tensor, losses: Sequence[Loss]) -> None:
    """Smooth the gradients of the pictures that want it: what a CLIP asks of single pixels, no eye sees."""
    if pictures.grad is None:
        return
    shorter = min(pictures.shape[-2:])
    for gradient, loss in zip(pictures.grad.split(1), losses, strict=True):
        if loss.blur:
            gradient.copy_(gaussian_blur(gradient, loss.blur * shorter))


def _add_pixel_gradients(pictures: Tensor, losses: Sequence[Loss]) -> Tensor:
    """Add the gradients of the pixel losses to those of the pictures; the losses of all terms, without weights."""
    weighted, values = [], []
    for picture, loss in zip(pictures.split(1), losses, strict=True):
        for term in loss.pixel_terms:
            value = PIXEL_LOSSES[term.property](picture)
            weighted.append(term.weight * value)
            values.append(value.detach())
    if not values:
        return pictures.new_zeros(0)
    _propagate(torch.cat(weighted).sum())
    return torch.cat(values)


def _propagate(loss: Tensor) -> None:
    """Add the scaled gradient of a loss to those of the leaves."""
    torch.autograd.backward(loss, torch.full_like(loss, LOSS_SCALE))


def _gradients(
    values: Tensor, losses: Sequence[Loss], by_clip: Sequence[ClipLosses], read: list[float]
) -> list[Gradient]:
    """The gradient of each picture, from what was read: finite or not, losses of pixels, losses of cutouts."""
    finite, read = read[: len(losses)], read[len(losses) :]
    found = [
        (picture, term.objective, term.weight)
        for picture, loss in enumerate(losses)
        for term in loss.pixel_terms
    ]
    terms = [TermLoss(*term, value) for term, value in zip(found, read, strict=False)]
    read = read[len(found) :]
    for each in by_clip:
        count = each.values().numel()
        terms += each.terms(read[:count])
        read = read[count:]
    gradients = []
    for picture, value in enumerate(values.split(1)):
        own = [term for term in terms if term.picture == picture]
        by_objective: dict[int, float] = {}
        for term in own:
            by_objective[term.objective] = by_objective.get(term.objective, 0.0) + term.value
        total = sum(term.weight * term.value for term in own)
        gradients.append(Gradient(total, by_objective, value, bool(finite[picture])))
    return gradients


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
