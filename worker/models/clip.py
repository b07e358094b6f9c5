"""A CLIP in memory: the embeddings of texts and pictures."""

import math
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg
from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import Tensor
from torch.nn import functional as F

from jobs.errors import ModelUnavailableError
from worker.aesthetics.predictor import AestheticHead
from worker.facts import ClipFacts, Reading
from worker.models.device import Device
from worker.models.loading.text_tower import TextTower
from worker.models.texts import TextCache, measured, require_vocabulary

# Of a batch of cutouts, where nothing was measured: an estimate of enough work for a CPU.
BUSY_TOKENS = 2048
MOST_CUTOUTS = 32  # on a CPU 32 at a time are 8 % faster than 16, and more gain nothing
FEW_TOKENS = 8  # of the try-out; an empty text has no more
PATCH_PX = 16  # of networks without a patch size


class ClipModel:
    """One OpenCLIP model, frozen, on its device.

    Attributes:
        px: width and height of its input in pixels.
        head: the aesthetic predictor for its embeddings, on the CPU; None without one.
        embed_texts: texts to unit vectors [N, E], float32 on the CPU; keeps the latest.
        networks: all that it holds in memory.
        batch_cutouts: cutouts to embed at a time for a gradient: more would only keep more activations in memory.
            An estimate until the device is measured (``worker/models/cutout_batches.py``).
    """

    def __init__(
        self, model: torch.nn.Module, tokenizer: open_clip.tokenizer.HFTokenizer, device: Device
    ) -> None:
        self._model = model.to(device.device, device.dtype).eval().requires_grad_(False)
        _put_tokens_first(model)
        self._tokenizer = tokenizer
        self._device = device
        config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
        mean, std = (
            torch.tensor(values, device=device.device, dtype=torch.float32)
            for values in (config.mean, config.std)
        )
        self._mean, self._std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)
        self.px: int = config.size if isinstance(config.size, int) else config.size[0]
        self.head: AestheticHead | None = None
        self.embed_texts = TextCache(self._embed_texts)
        self.networks: tuple[torch.nn.Module, ...] = (self._model,)
        self.batch_cutouts = self._estimated_cutouts()

    def try_out(self) -> None:
        """Embed a text and a picture once, as a check.

        Raises:
            ModelUnavailableError: its tokenizer is another network's, or the two embeddings cannot be compared.
        """
        vocabulary = self._tokenizer
        table = getattr(getattr(self._model, "text", self._model), "token_embedding", None)
        if table is not None and hasattr(vocabulary, "tokenizer"):
            require_vocabulary(vocabulary.tokenizer, table.num_embeddings)
        # A device that warms up needs the shape of a job.
        with nullcontext() if self._device.warms_up else _few_tokens(self._model):
            text, picture = self._embed_texts([""]), self.embed_pictures(torch.zeros(1, 3, self.px, self.px))
        if text.shape != picture.shape:
            raise ModelUnavailableError(
                f"the CLIP's texts are {text.shape[1]} numbers and its pictures {picture.shape[1]}"
            )
        if not bool((text + picture).isfinite().all()):
            raise ModelUnavailableError("the CLIP makes numbers that are not finite")
        self.width = text.shape[1]

    @property
    def facts(self) -> ClipFacts:
        """Its properties, for samplers."""
        return ClipFacts(self.px, self.head, self.measure)

    @cached_property
    def width(self) -> int:
        """E, the length of its embeddings."""
        return self.embed_text("").shape[1]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device.device

    def _estimated_cutouts(self) -> int:
        patches = getattr(self._model.visual, "grid_size", (self.px // PATCH_PX, self.px // PATCH_PX))
        return min(MOST_CUTOUTS, max(1, BUSY_TOKENS // math.prod(patches)))

    @cached_property
    def text_tower(self) -> TextTower:
        """Its text tower.

        Raises:
            ModelUnavailableError: it is of a kind that no diffusion model has.
        """
        return TextTower(self._model)

    def embed_text(self, text: str) -> Tensor:
        """One text as a unit vector [1, E]."""
        return self.embed_texts([text])

    def measure(self, text: str) -> Reading | None:
        """The length of a text, and the part that ``embed_texts`` reads; None where the tokenizer cannot tell."""
        ours: Any = self._tokenizer
        if isinstance(ours, open_clip.tokenizer.HFTokenizer):
            own = 3 if ours.tokenizer_mode == "clips" else None
            return measured(ours.tokenizer, ours.clean_fn(text), limit=ours.context_length, own=own)
        if isinstance(ours, open_clip.tokenizer.SimpleTokenizer):
            limit = int(ours.context_length or 0)
            return Reading(len(ours.encode(text)), limit - 2, limit)
        return None

    @torch.inference_mode()
    def _embed_texts(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(texts).to(self._device.device)
        return F.normalize(self._model.encode_text(tokens).float(), dim=-1).cpu()  # type: ignore[operator]

    def embed(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, px, px] in [0, 1] as unit vectors [N, E], float32; differentiable."""
        return F.normalize(self._project(pictures), dim=-1)

    @torch.inference_mode()
    def project_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [0, 1] as embeddings [N, E], not normalised, on the CPU."""
        return self._project(self._squared(pictures)).cpu()

    def _project(self, pictures: Tensor) -> Tensor:
        pixels = ((pictures.float() - self._mean) / self._std).to(self._device.dtype)
        return self._model.encode_image(pixels).float()  # type: ignore[operator,no-any-return]

    def _squared(self, pictures: Tensor) -> Tensor:
        pixels = pictures.to(self._device.device)
        return F.interpolate(pixels, (self.px, self.px), mode="bicubic", antialias=True).clamp(0, 1)

    @torch.inference_mode()
    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [0, 1], squashed to squares, as unit vectors [N, E], float32 on the CPU."""
        return self.embed(self._squared(pictures)).cpu()

    def score(self, picture: Tensor, target: Tensor) -> float:
        """Cosine similarity of a picture [3, H, W] in [0, 1] to a unit vector [1, E]."""
        return float((self.embed_pictures(picture[None]) * target).sum(dim=-1))


@contextmanager
def _few_tokens(model: torch.nn.Module) -> Generator[None, None, None]:
    """Let a CLIP's transformers go on with the first tokens of a sequence alone.

    All their weights take part, in a fraction of the time: that of ViT-H-14 grows with the tokens, 257 for a picture.
    """

    def cut(_: Any, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mask = options.get("attn_mask")
        if mask is not None:
            options = options | {"attn_mask": mask[..., :FEW_TOKENS, :FEW_TOKENS]}
        return (inputs[0][:, :FEW_TOKENS], *inputs[1:]), options

    hooks = [
        part.register_forward_pre_hook(cut, with_kwargs=True)
        for part in model.modules()
        if type(part) is Transformer
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _put_tokens_first(model: Any) -> None:
    """Let the image tower compute on [tokens, batch, width], which its attention works on anyway.

    From [batch, tokens, width] PyTorch's attention makes a transposed view, and multiplies that by frozen weights in
    one small product for each token; in bfloat16 on a CPU it even copies the weights for each. With ViT-H-14 that
    doubles the time of a cutout.
    """
    for part in model.visual.modules():
        if isinstance(part, Transformer) and isinstance(part.resblocks[0], ResidualAttentionBlock):
            part.batch_first = False
            for block in part.resblocks:
                block.attn.batch_first = False
