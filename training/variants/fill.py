"""Complete pictures with a hole, by an inpainting UNet or by any other."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.clip import tokenize
from training.diffusion import scheduler
from training.settings import models_folder
from training.tokenizer import CONTEXT_LENGTH
from training.variants.inpaint_data import Holes


class Texts:
    """The pocket model's text encoder."""

    def __init__(self) -> None:
        folder = models_folder() / "pocket"
        self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self._tower = CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval()

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> Tensor:
        """Hidden states [N, 32, 192]."""
        states: Tensor = self._tower(tokenize(self._tokenizer, captions, CONTEXT_LENGTH)).last_hidden_state
        return states


@torch.no_grad()
def fill(
    unet: UNet2DConditionModel, holes: Holes, texts: Texts, noise: Tensor, *, steps: int, cfg_scale: float
) -> Tensor:
    """Deterministic DDIM (Song 2021, eq. 12) from pure noise, whose estimate is the known latents outside the hole.

    For deterministic solvers that is the same as noising the known latents anew at each step.

    Args:
        unet: one of 17 input channels is told of the hole, one of 8 is not.
        holes: N pictures to complete.
        texts: encodes their captions and the empty one.
        noise: [N, 8, 16, 16].
        steps: of denoising.
        cfg_scale: weight of the captioned prediction against the uncaptioned one (Ho 2022, eq. 6, plus 1).

    Returns:
        Latents [N, 8, 16, 16].
    """
    noises = scheduler()
    noises.set_timesteps(steps)
    context = torch.cat([texts(holes.captions), texts([""] * len(noise))])
    mask = holes.condition[:, :1]
    told = holes.condition if unet.config.in_channels > noise.shape[1] else holes.condition[:, :0]
    x, estimate = noise, noise
    for t, after in zip(noises.timesteps, [*noises.timesteps[1:], None], strict=True):
        abar = noises.alphas_cumprod[t]
        rows = torch.cat([x, told], dim=1).repeat(2, 1, 1, 1)
        with_text, without = unet(rows, t, context).sample.chunk(2)
        v = without + cfg_scale * (with_text - without)
        estimate = mask * (abar.sqrt() * x - (1 - abar).sqrt() * v) + (1 - mask) * holes.x0
        epsilon = (x - abar.sqrt() * estimate) / (1 - abar).sqrt()
        if after is not None:
            abar = noises.alphas_cumprod[after]
            x = abar.sqrt() * estimate + (1 - abar).sqrt() * epsilon
    return estimate
