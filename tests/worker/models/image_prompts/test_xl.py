"""Image prompts of SDXL against diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from jobs.catalog.catalog import Catalog
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.requests.samplers import ScheduleName
from tests.worker.models.families.xl import PX, ask, xl_card, xl_folder, xl_registry
from tests.worker.models.image_prompts import writing
from tests.worker.models.image_prompts.test_pipeline import FOX, OWL, latents_of, picture
from tests.worker.sampling.stock import stock_scheduler
from worker.models.registry import ModelRegistry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's, with adapters and their encoder beside it."""
    model = xl_folder(tmp_path_factory.mktemp("xl") / "xl")
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    writing.encoder(model.parent / "encoder", 6, px=PX)
    writing.saved(writing.base(unet, 1, features=24), model.parent / "base.safetensors")
    writing.saved(writing.plus(unet, 2, states=32), model.parent / "plus.safetensors")
    return model


@pytest.fixture(scope="module")
def prompted(folder: Path, pocket_catalog: Catalog) -> ModelRegistry:
    cards = tuple(
        ImagePromptCard(
            id=name, path=folder.parent / f"{name}.safetensors", encoder=folder.parent / "encoder"
        )
        for name in ("base", "plus")
    )
    return xl_registry(Catalog(models=(xl_card(folder),), clips=pocket_catalog.clips, image_prompts=cards))


@pytest.mark.parametrize("adapter", ["base", "plus"])
def test_it_draws_what_the_stock_pipeline_draws(adapter: str, folder: Path, prompted: ModelRegistry) -> None:
    fields: dict[str, Any] = {"negative_prompt": "grey"}
    prompts = [{"image": name, "adapter": adapter, "weight": 0.8} for name in (FOX, OWL)]
    request = ask(prompted, image_prompts=prompts, **fields)
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folder,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(folder.parent / "encoder"),
        feature_extractor=CLIPImageProcessor(size=PX, crop_size=PX),
    )
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((request.sampler, ScheduleName.DEFAULT), config)
    pipeline.load_ip_adapter(str(folder.parent), subfolder="", weight_name=f"{adapter}.safetensors")
    pipeline.set_ip_adapter_scale(0.8)
    theirs = pipeline(
        request.prompt,
        negative_prompt=request.negative_prompt,
        ip_adapter_image=[[picture(name) for name in (FOX, OWL)]],
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    ours, plain = latents_of(request, prompted), latents_of(ask(prompted, **fields), prompted)
    assert float((ours - theirs).abs().max()) < 2e-4
    assert float((ours - plain).abs().max()) > 0.01
