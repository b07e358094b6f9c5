"""The gradients of the guidance loss with respect to the denoised latents, exact and in little memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.guidance.cutouts import Views, make_views
from worker.guidance.objectives import spherical_distance

# Gradients through CLIP and a VAE underflow in fp16; a power of two scales them without rounding.
FP16_LOSS_SCALE = 2.0**12


@dataclass(frozen=True)
class Gradient:
    """Of the loss, which is the mean over all views, at one step of one picture."""

    loss: float
    value: Tensor  # [1, C, h, w], float32 on the CPU
    finite: bool  # False when the gradient overflowed and ``value`` is zero instead


def guidance_gradients(
    denoised: Tensor,
    targets: Tensor,
    views: Sequence[Views],
    *,
    decode: Callable[[Tensor], Tensor],
    embed: Callable[[Tensor], Tensor],
    px: int,
    chunk: int,
) -> list[Gradient]:
    """For every picture, differentiate mean_k spherical_distance(embed(view_k(decode(denoised))), target).

    The pictures are decoded together once and made leaves; the views of all are judged chunk by chunk, each adding to
    its picture's gradient; one vector-Jacobian product of the decoder then carries them to the latents. Pictures are
    independent of each other, so the gradient of the sum of their losses holds each one's own. Memory is that of one
    chunk and one decoding, whatever the number of views; the result is that of the whole graph, one picture at a time,
    up to the order of additions.

    Args:
        denoised: the estimates of the clean latents [B, C, h, w].
        targets: unit vectors [B, E].
        views: each picture's views, as many as it likes.
        decode: latents to pictures [B, 3, H, W] in [0, 1], differentiable, in its model's dtype.
        embed: views [n, 3, px, px] to unit vectors [n, E], differentiable.
        px: the CLIP's input width.
        chunk: views judged at a time.
    """
    latents = denoised.detach().requires_grad_(True)
    counts = torch.tensor([len(own) for own in views])
    every, picture_of = Views.together(views), torch.arange(len(views)).repeat_interleave(counts)
    losses = torch.zeros(len(views))
    with torch.enable_grad():
        decoded = decode(latents)
        pictures = decoded.detach().requires_grad_(True)
        device, dtype = decoded.device, decoded.dtype
        loss_scale = FP16_LOSS_SCALE if dtype == torch.float16 else 1.0
        targets, shares = targets.to(device).float(), (1 / counts).to(device)
        for start in range(0, len(every), chunk):
            part = every.part(start, start + chunk).to(device, dtype)
            owners = picture_of[start : start + chunk].to(device)
            seen = make_views(pictures.index_select(0, owners), part, px)
            distances = spherical_distance(embed(seen).float(), targets[owners]) * shares[owners]
            (distances.sum() * loss_scale).backward()
            losses.index_add_(0, owners.cpu(), distances.detach().cpu())
        (scaled,) = torch.autograd.grad(decoded, latents, pictures.grad)
    values = scaled.float().cpu() / loss_scale
    return [_gradient(loss, value) for loss, value in zip(losses.tolist(), values.split(1), strict=True)]


def _gradient(loss: float, value: Tensor) -> Gradient:
    finite = bool(value.isfinite().all())
    return Gradient(loss, value if finite else torch.zeros_like(value), finite)


def normalized(gradient: Tensor) -> Tensor:
    """The gradient of each picture divided by its root mean square; zero stays zero.

    Args:
        gradient: [B, C, h, w].
    """
    rms = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return gradient / rms.clamp(min=1e-20)
