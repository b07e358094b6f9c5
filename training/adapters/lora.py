"""A low-rank adapter of pocket's denoiser: to learn one, and to write it as diffusers does.

The file says in its header what it is, by PEFT's configuration and by the fields of ModelSpec.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from training.diffusion import diffuse, scheduler
from training.loop import Plan, train
from training.settings import COMPILED_FROM, autocast_dtype, models_folder, work_folder
from training.variants.delta import adapt, trained
from training.variants.fill import Texts
from worker.models.adapters.delta import A
from worker.models.adapters.files import UNET
from worker.models.loading.layout import ADAPTER_WEIGHTS

Batches = Callable[[int], tuple[Tensor, list[str]]]


@dataclass(frozen=True)
class About:
    """What an adapter's file says of itself.

    Attributes:
        title: for people.
        trigger: the words that it was trained with; empty if every prompt is one.
        licence: of its weights, as an SPDX id.
    """

    title: str
    trigger: str
    licence: str


def learn(
    name: str,
    rank: int,
    batches: Batches,
    plan: Plan,
    look: Callable[[nn.Module, int], None],
) -> UNet2DConditionModel:
    """Train factors for every linear and convolutional layer of pocket's UNet, resuming if it was interrupted.

    Args:
        name: of the checkpoint and the log.
        rank: of the factors.
        batches: latents [B, 8, 16, 16] and captions of each step.
        plan: steps, learning rate, averaging.
        look: called after each checkpoint; see ``train``.

    Returns:
        The averaged UNet with its factors, as ``adapt`` left it.
    """
    torch.manual_seed(0)
    model = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float()
    adapt(model, rank, [])
    model = model.train().to(memory_format=torch.channels_last)
    compiled = cast("nn.Module", torch.compile(model)) if plan.steps >= COMPILED_FROM else model
    texts = Texts()
    abars, dtype = scheduler().alphas_cumprod, autocast_dtype()

    def losses(step: int) -> dict[str, Tensor]:
        x0, captions = batches(step)
        x_t, timestep, v = diffuse(x0, abars, torch.Generator().manual_seed(step))
        rows = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            predicted = compiled(rows, timestep, texts(captions)).sample
        return {"v": F.mse_loss(predicted.float(), v)}

    averaged = train(name, model, losses, plan, work_folder(), on_checkpoint=look)
    return cast("UNet2DConditionModel", averaged)


def export(unet: UNet2DConditionModel, folder: Path, about: About) -> None:
    """Write the factors of a UNet in fp16, as ``StableDiffusionPipeline.load_lora_weights`` reads them.

    Args:
        unet: with factors of one rank, alpha = r.
        folder: to write to.
        about: for the header.
    """
    factors = {f"{UNET}.{name}": tensor for name, tensor in trained(unet).items()}
    layers = [name.removesuffix(A).removeprefix(f"{UNET}.") for name in factors if name.endswith(A)]
    rank = len(factors[f"{UNET}.{layers[0]}{A}"])
    config = {"r": rank, "lora_alpha": rank, "target_modules": layers}
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "format": "pt",
        "lora_adapter_metadata": json.dumps({f"{UNET}.{key}": value for key, value in config.items()}),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "pocket/lora",
        "modelspec.title": about.title,
        "modelspec.license": about.licence,
    }
    if about.trigger:
        metadata["modelspec.trigger_phrase"] = about.trigger
    save_file(factors, folder / ADAPTER_WEIGHTS[0], metadata)
