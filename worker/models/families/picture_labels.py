"""What an unCLIP denoiser is told of pictures: their CLIP embeddings, mixed, with noise of a stated level.

The noise is that of a diffusion of its own, on embeddings brought to mean 0 and variance 1 (Stability AI 2023, "Stable
unCLIP 2.1"; Ho et al. 2021, "Cascaded Diffusion Models", sec. 4.3, on such noise).
"""

from collections.abc import Iterator, Sequence

import torch
from diffusers import DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from worker.canvas import Canvas
from worker.models.caches import EncodingCache
from worker.models.device import Device
from worker.models.families.family import Parts
from worker.models.image_prompts.encoders import VisionEncoder, squared
from worker.rows import PictureLabel

ENCODER, NORMALIZER = "image_encoder", "image_normalizer"
PREPARATION, NOISING = "feature_extractor", "image_noising_scheduler"
PICTURES = 64  # whose embeddings are kept, of 4 KB each for ViT-H


class PictureLabels:
    """Makes the labels of rows, without any state of a job.

    Attributes:
        width: E, numbers of an embedding; a label has 2 E.
        networks: all that it holds in memory.
    """

    def __init__(self, parts: Parts, device: Device) -> None:
        """Bring the image encoder and the normalizer to the device, frozen."""
        encoder, normalizer = parts[ENCODER], parts[NORMALIZER]
        self.networks: tuple[nn.Module, ...] = encoder, normalizer
        for network in self.networks:
            nn.Module.to(network, device.device, device.dtype).eval().requires_grad_(False)
        told = parts[PREPARATION]
        mean, std = told.get("image_mean", OPENAI_CLIP_MEAN), told.get("image_std", OPENAI_CLIP_STD)
        self._encoder, self._device = VisionEncoder(encoder, mean, std, device), device
        self._normalizer = normalizer
        self._abars: Tensor = DDPMScheduler.from_config(parts[NOISING]).alphas_cumprod
        self.width: int = encoder.config.projection_dim
        self._known: EncodingCache[Canvas] = EncodingCache(
            self._embed, lambda canvas: canvas.digest, size=PICTURES
        )

    def __call__(self, labels: Sequence[PictureLabel | None]) -> Tensor:
        """The labels [B, 2 E] of B rows; zeros for None, as for a negative prompt."""
        pictures = [canvas for label in labels if label is not None for canvas, _ in label.pictures]
        known = iter(self._known(pictures).split(1) if pictures else ())
        rows = [
            torch.zeros(1, 2 * self.width, device=self._device.device)
            if label is None
            else self._label(label, known)
            for label in labels
        ]
        return torch.cat(rows).to(self._device.dtype)

    def tried(self) -> Tensor:
        """The embedding of a grey square, [1, E]."""
        px = self._encoder.px
        return self._encoder.embed(torch.full((1, 3, px, px), 0.5, device=self._device.device))

    def _label(self, label: PictureLabel, known: Iterator[Tensor]) -> Tensor:
        """[z' | level]: the mixed embedding with noise, and sines and cosines of the level."""
        embeddings = torch.cat([next(known) for _ in label.pictures])
        weights = embeddings.new_tensor([weight for _, weight in label.pictures])
        z = self._noised(mixed(embeddings, weights), label)
        level = get_timestep_embedding(
            torch.tensor([label.noise_level]), self.width, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        return torch.cat([z, level.to(z)], dim=1) * weights.sum().clamp(max=1)

    def _noised(self, z: Tensor, label: PictureLabel) -> Tensor:
        """An embedding z [1, E] with noise: std (sqrt(abar) (z - mean) / std + sqrt(1 - abar) eps) + mean."""
        mean, std = (part.detach().float() for part in (self._normalizer.mean, self._normalizer.std))
        abar = float(self._abars[label.noise_level])
        noised = abar**0.5 * (z - mean) / std + (1 - abar) ** 0.5 * label.noise.to(z)
        made: Tensor = std * noised + mean
        return made

    def _embed(self, canvases: Sequence[Canvas]) -> Tensor:
        px, device = self._encoder.px, self._device.device
        pictures = torch.cat([squared(canvas.levels(device), px) for canvas in canvases])
        return self._encoder.embed(pictures).float()


def mixed(embeddings: Tensor, weights: Tensor) -> Tensor:
    """One embedding of several: of the direction of their weighted mean, and of their mean length.

    Args:
        embeddings: [n, E].
        weights: [n], more than 0; only their proportions count.

    Returns:
        [1, E]; that of one picture is its own.
    """
    if len(embeddings) == 1:
        return embeddings
    shares = (weights / weights.sum())[:, None]
    lengths = embeddings.norm(dim=1, keepdim=True)
    direction = (shares * embeddings / lengths).sum(dim=0, keepdim=True)
    length = (shares * lengths).sum(dim=0, keepdim=True)
    # Opposite embeddings of equal weights leave no direction, and so no label.
    made: Tensor = length * direction / direction.norm().clamp(min=torch.finfo(direction.dtype).tiny)
    return made
