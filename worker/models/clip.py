"""A CLIP in memory: texts and pictures to unit vectors."""

import open_clip
import torch
from open_clip.transform import PreprocessCfg
from torch import Tensor
from torch.nn import functional as F

from jobs.catalog import ClipCard
from jobs.errors import ModelUnavailableError
from worker.models.device import Device
from worker.models.files import locate

WEIGHTS = "open_clip_model.safetensors"


class ClipModel:
    """One OpenCLIP model, frozen, on its device.

    Attributes:
        px: width and height of its input in pixels.
    """

    def __init__(self, model: torch.nn.Module, tokenizer: open_clip.tokenizer.HFTokenizer, device: Device) -> None:
        self._model = model.to(device.device, device.dtype).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._device = device
        config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
        mean, std = (torch.tensor(values, device=device.device) for values in (config.mean, config.std))
        self._mean, self._std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)
        self.px: int = config.size if isinstance(config.size, int) else config.size[0]

    @torch.no_grad()
    def embed_text(self, text: str) -> Tensor:
        """A text as a unit vector [1, E], float32 on the CPU."""
        tokens = self._tokenizer([text]).to(self._device.device)
        return F.normalize(self._model.encode_text(tokens).float(), dim=-1).cpu()  # type: ignore[operator]

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, px, px] in [0, 1] as unit vectors [N, E], float32; differentiable."""
        pixels = ((pictures.float() - self._mean) / self._std).to(self._device.dtype)
        return F.normalize(self._model.encode_image(pixels).float(), dim=-1)  # type: ignore[operator]

    @torch.no_grad()
    def score(self, picture: Tensor, target: Tensor) -> float:
        """Cosine similarity of a picture [3, H, W] in [0, 1], squashed to a square, and a unit vector [1, E]."""
        pixels = picture[None].to(self._device.device)
        squared = F.interpolate(pixels, (self.px, self.px), mode="bicubic", antialias=True).clamp(0, 1)
        return float((self.embed(squared).cpu() * target).sum())


def load_clip(card: ClipCard, device: Device) -> ClipModel:
    """Load an OpenCLIP folder (or hub id): ``open_clip_config.json`` beside ``open_clip_model.safetensors``.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors.
    """
    path = locate(card)
    if not (path / WEIGHTS).is_file():
        raise ModelUnavailableError(f"{card.id}: {path} holds no {WEIGHTS}, the only weights that are read")
    name = f"local-dir:{path}"
    try:
        model = open_clip.create_model(name)
        return ClipModel(model, open_clip.get_tokenizer(name), device)
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
