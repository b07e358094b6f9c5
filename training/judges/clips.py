"""pocket-eval as a judge: of pictures as they are, and of purified ones, in which a change that no eye sees is gone."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from jobs.catalog.models import ClipCard
from training.judges.asked import Asked, pools
from training.settings import models_folder
from worker.guidance.blur import gaussian_blur
from worker.models.clip import ClipModel
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.settings import WorkerSettings

POOL = 256
JPEG_QUALITY = 50
NOISE = 0.06  # standard deviation, of pictures in [0, 1]
BLUR_SIGMA_PX = 1.0

Purify = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """What a CLIP says.

    Attributes:
        similarity: cosine similarity to the prompt, [N].
        rank: how many of 255 other names of the same style and background are more similar, [N].
    """

    similarity: Tensor
    rank: Tensor

    def top(self, count: int) -> Tensor:
        """1 where fewer than ``count`` names are more similar, else 0, [N]."""
        return (self.rank < count).double()


def load_named(name: str) -> ClipModel:
    """One of the family's CLIPs, on the CPU in fp32."""
    return load_clip(ClipCard(id=name, path=models_folder() / name), Device(WorkerSettings(dtype="fp32")))


@torch.no_grad()
def embed(clip: ClipModel, pictures: Tensor) -> Tensor:
    """Unit vectors [N, E] of pictures [N, 3, 64, 64] in [0, 1]."""
    small = F.interpolate(pictures, (clip.px, clip.px), mode="bicubic", antialias=True).clamp(0, 1)
    return torch.cat([clip.embed(part) for part in small.split(64)])


class ClipJudge:
    """A CLIP that never guided. It shares data and objective with those that did, so alone it proves nothing."""

    def __init__(self, clip: ClipModel) -> None:
        """With the evaluator."""
        self._clip = clip
        self._texts: dict[str, Tensor] = {}

    def see(self, pictures: Tensor, asked: Sequence[Asked]) -> Reading:
        """Judge pictures [N, 3, 64, 64] in [0, 1] as they are."""
        return self._reading(embed(self._clip, pictures), asked)

    def see_purified(self, pictures: Tensor, asked: Sequence[Asked], purify: Sequence[Purify]) -> Reading:
        """Judge the mean embedding of pictures that were purified in several ways."""
        seen = torch.stack([embed(self._clip, one(pictures)) for one in purify]).mean(dim=0)
        return self._reading(F.normalize(seen, dim=-1), asked)

    def _reading(self, features: Tensor, asked: Sequence[Asked]) -> Reading:
        similarities, ranks = [], []
        for feature, one, names in zip(features, asked, pools(asked, POOL), strict=True):
            similar = self._embedded([Asked(name, one.style, one.colour).prompt for name in names]) @ feature
            similarities.append(similar[0])
            ranks.append((similar[1:] > similar[0]).sum())
        return Reading(torch.stack(similarities).double(), torch.stack(ranks))

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [N, E] of texts, each embedded once: they take longer than all pictures."""
        if new := [text for text in texts if text not in self._texts]:
            self._texts |= zip(new, self._clip.embed_texts(new), strict=True)
        return torch.stack([self._texts[text] for text in texts])


def purifiers() -> tuple[Purify, ...]:
    """Blur, JPEG, a little noise, and a round trip through pocket's autoencoder (after Nie 2022, who diffuses)."""
    return blur, jpeg, noise, Autoencoded()


def blur(pictures: Tensor) -> Tensor:
    """Gaussian blur of 1 px; [N, 3, H, W] to the same."""
    return gaussian_blur(pictures, BLUR_SIGMA_PX)


def jpeg(pictures: Tensor) -> Tensor:
    """To JPEG and back; [N, 3, H, W] in [0, 1] to the same."""
    read = []
    for row in (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(row).save(file, "JPEG", quality=JPEG_QUALITY)
        read.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(pictures.dtype) / 255


def noise(pictures: Tensor) -> Tensor:
    """White noise, the same for every set of pictures; [N, 3, H, W] to the same, within [0, 1]."""
    drawn = torch.randn(pictures.shape[1:], generator=torch.Generator().manual_seed(0), dtype=pictures.dtype)
    return (pictures + NOISE * drawn).clamp(0, 1)


class Autoencoded:
    """A round trip through pocket's autoencoder; pictures [N, 3, 64, 64] in [0, 1] to the same."""

    def __init__(self) -> None:
        """Load it."""
        self._vae = AutoencoderKL.from_pretrained(models_folder() / "pocket" / "vae").float().eval()

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """The pictures, decoded from their latents."""
        parts = [
            self._vae.decode(self._vae.encode(part).latent_dist.mode()).sample
            for part in (pictures * 2 - 1).split(32)
        ]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
