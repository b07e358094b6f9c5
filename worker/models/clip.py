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
from worker.models.shared import SharedNetworks, digest
from worker.models.texts import TextCache

WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"


class ClipModel:
    """One OpenCLIP model, frozen, on its device.

    Attributes:
        px: width and height of its input in pixels.
        embed_texts: texts to unit vectors [N, E], float32 on the CPU; keeps the latest.
        networks: all that take memory.
    """

    def __init__(self, model: torch.nn.Module, tokenizer: open_clip.tokenizer.HFTokenizer, device: Device) -> None:
        self._model = model.to(device.device, device.dtype).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._device = device
        config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
        mean, std = (
            torch.tensor(values, device=device.device, dtype=torch.float32) for values in (config.mean, config.std)
        )
        self._mean, self._std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)
        self.px: int = config.size if isinstance(config.size, int) else config.size[0]
        self.embed_texts = TextCache(self._embed_texts)
        self.networks: tuple[torch.nn.Module, ...] = (self._model,)

    def embed_text(self, text: str) -> Tensor:
        """One text as a unit vector [1, E]."""
        return self.embed_texts([text])

    @torch.inference_mode()
    def _embed_texts(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(texts).to(self._device.device)
        return F.normalize(self._model.encode_text(tokens).float(), dim=-1).cpu()  # type: ignore[operator]

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, px, px] in [0, 1] as unit vectors [N, E], float32; differentiable."""
        pixels = ((pictures.float() - self._mean) / self._std).to(self._device.dtype)
        return F.normalize(self._model.encode_image(pixels).float(), dim=-1)  # type: ignore[operator]

    @torch.inference_mode()
    def scores(self, pictures: Tensor, targets: Tensor) -> list[float]:
        """Cosine similarities of pictures [N, 3, H, W] in [0, 1], squashed to squares, to unit vectors [N, E]."""
        pixels = pictures.to(self._device.device)
        squared = F.interpolate(pixels, (self.px, self.px), mode="bicubic", antialias=True).clamp(0, 1)
        return (self.embed(squared).cpu() * targets).sum(dim=-1).tolist()

    def score(self, picture: Tensor, target: Tensor) -> float:
        """The same of one picture [3, H, W] to one unit vector [1, E]."""
        (similarity,) = self.scores(picture[None], target)
        return similarity


def load_clip(card: ClipCard, device: Device, shared: SharedNetworks | None = None) -> ClipModel:
    """Load an OpenCLIP folder (or hub id): ``open_clip_config.json`` beside ``open_clip_model.safetensors``.

    Args:
        card: what to load.
        device: where to.
        shared: networks in memory; one whose files are the same is not loaded again.

    Raises:
        ModelUnavailableError: its files are missing, damaged, or not safetensors.
    """
    path, shared = locate(card), shared or SharedNetworks()
    if not (path / WEIGHTS).is_file():
        raise ModelUnavailableError(f"{card.id}: {path} holds no {WEIGHTS}, the only weights that are read")
    name = f"local-dir:{path}"
    try:
        identity = digest([path / WEIGHTS, path / CONFIG])
        model = shared.find(identity)
        if model is None:
            model = open_clip.create_model(name)
            shared.add(identity, model)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:
        raise ModelUnavailableError(f"{card.id}: {path.name} cannot be loaded: {error}") from error
    return ClipModel(model, tokenizer, device)
