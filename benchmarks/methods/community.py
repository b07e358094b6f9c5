"""The diffusers community pipeline for CLIP guidance, around any of our models: the oracle, and what others run.

Its file is neither part of the package of diffusers nor of this project: fetch ``clip_guided_stable_diffusion.py`` from
``examples/community`` of its repository, and give its path.
"""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional as F


class EpsilonUNet(nn.Module):
    """A UNet of any prediction type, as one that predicts noise, which is all that the pipeline knows."""

    def __init__(self, unet: nn.Module, scheduler: Any) -> None:
        super().__init__()
        self.unet = unet
        self.config: Any = unet.config
        self._alphas = scheduler.alphas_cumprod
        self._type = scheduler.config.prediction_type

    def forward(self, x: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        output = self.unet(x, timestep, encoder_hidden_states).sample
        if self._type == "v_prediction":
            abar = self._alphas[int(timestep)].to(x)
            output = abar.sqrt() * output + (1 - abar).sqrt() * x
        return SimpleNamespace(sample=output)


class TransformersClip(nn.Module):
    """An OpenCLIP model with the two methods that the pipeline calls, each answering a plain tensor.

    With transformers 5 the library's own answers are objects, on which the pipeline fails.
    """

    def __init__(self, model: nn.Module, target: Tensor) -> None:
        super().__init__()
        self.model = model
        self._target = target

    def get_text_features(self, ids: Tensor) -> Tensor:
        """The embedding of the text that guides, whatever tokens the pipeline made of it."""
        return self._target.expand(len(ids), -1)

    def get_image_features(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.model.encode_image(pixels)  # type: ignore[operator]
        return F.normalize(features, dim=-1)


def community_pipeline(file: Path, stock: Any, clip: nn.Module, target: Tensor, px: int) -> Any:
    """The pipeline, with the parts of a stock pipeline and a CLIP.

    Args:
        file: ``clip_guided_stable_diffusion.py``.
        stock: a ``StableDiffusionPipeline``.
        clip: an OpenCLIP model, whose normalisation takes [0, 1] to [-1, 1].
        target: embedding of the text, [1, E].
        px: width of the CLIP's input.
    """
    spec = importlib.util.spec_from_file_location("clip_guided_stable_diffusion", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    scheduler = DDIMScheduler.from_config(stock.scheduler.config, prediction_type="epsilon")
    extractor = SimpleNamespace(image_mean=[0.5] * 3, image_std=[0.5] * 3, size=px)
    # The base class keeps account of parts from libraries, which not all of these are.
    overrides = {
        "register_modules": lambda self, **parts: self.__dict__.update(parts),
        "device": property(lambda self: next(self.vae.parameters()).device),
    }
    pipeline = type("Community", (module.CLIPGuidedStableDiffusion,), overrides)(
        vae=stock.vae,
        text_encoder=stock.text_encoder,
        clip_model=TransformersClip(clip, target),
        tokenizer=stock.tokenizer,
        unet=EpsilonUNet(stock.unet, stock.scheduler),
        scheduler=scheduler,
        feature_extractor=extractor,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
