"""The gradient of the guidance loss with respect to the denoised latents, exact and in little memory."""

from collections.abc import Callable
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
    value: Tensor  # [1, C, h, w], float32
    finite: bool  # False when the gradient overflowed and ``value`` is zero instead


def guidance_gradient(
    denoised: Tensor,
    target: Tensor,
    views: Views,
    *,
    decode: Callable[[Tensor], Tensor],
    embed: Callable[[Tensor], Tensor],
    px: int,
    chunk: int,
) -> Gradient:
    """Differentiate mean_k spherical_distance(embed(view_k(decode(denoised))), target).

    The picture is decoded once and made a leaf; the views are judged chunk by chunk, each adding to the picture's
    gradient; one vector-Jacobian product of the decoder then carries it to the latents. Memory is that of one chunk and
    one decoding, whatever the number of views; the result is that of the whole graph up to the order of additions.

    Args:
        denoised: the estimate of the clean latents [1, C, h, w].
        target: unit vector [1, E].
        views: the N views.
        decode: latents to a picture [1, 3, H, W] in [0, 1], differentiable, in its model's dtype.
        embed: views [n, 3, px, px] to unit vectors [n, E], differentiable.
        px: the CLIP's input width.
        chunk: views judged at a time.
    """
    latents = denoised.detach().requires_grad_(True)
    with torch.enable_grad():
        decoded = decode(latents)
        picture = decoded.detach().requires_grad_(True)
        loss_scale = FP16_LOSS_SCALE if decoded.dtype == torch.float16 else 1.0
        total = 0.0
        for start in range(0, len(views), chunk):
            part = views.part(start, start + chunk).to(picture.device, picture.dtype)
            distance = spherical_distance(embed(make_views(picture, part, px)).float(), target.float())
            loss = distance.sum() / len(views)
            (loss * loss_scale).backward()
            total += loss.item()
        (scaled,) = torch.autograd.grad(decoded, latents, picture.grad)
    value = scaled.float() / loss_scale
    finite = bool(value.isfinite().all())
    return Gradient(total, value if finite else torch.zeros_like(value), finite)


def normalized(gradient: Tensor) -> Tensor:
    """The gradient of each picture divided by its root mean square; zero stays zero.

    Args:
        gradient: [B, C, h, w].
    """
    rms = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return gradient / rms.clamp(min=1e-20)
