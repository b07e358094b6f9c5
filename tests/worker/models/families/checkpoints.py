"""Tiny checkpoints with random weights, as diffusers itself writes them: one of each class of pipeline."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from tests.worker.models.variants import POCKET
from tests.worker.sampling.noise_schedule import STABLE_DIFFUSION

WIDTH = 32  # of the text encoder's states
SECOND_WIDTH, POOLED = 48, 40  # of SDXL's second one: of its states, and of its pooled ones
NOTHING: dict[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}


def tokenizer(**fields: Any) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(POCKET / "tokenizer", **{"model_max_length": 77, **fields})


def text_config(**fields: Any) -> CLIPTextConfig:
    shape = {"hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    return CLIPTextConfig(vocab_size=2048, eos_token_id=2047, bos_token_id=2046, **{**shape, **fields})


def unet(**fields: Any) -> UNet2DConditionModel:
    """A UNet of Stable Diffusion's kind on latents of 4 channels."""
    shape: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 16,
    }
    return UNet2DConditionModel(**{**shape, **fields})


def vae(**fields: Any) -> AutoencoderKL:
    """A VAE of Stable Diffusion's kind, with a pixel for every second latent."""
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    shape = {"block_out_channels": (16, 32), "norm_num_groups": 8, "sample_size": 32, **blocks}
    return AutoencoderKL(**{**shape, **fields})


def parts(unet: UNet2DConditionModel, scheduler: Any) -> dict[str, Any]:
    """The parts of a Stable Diffusion."""
    return {
        "vae": vae(),
        "text_encoder": CLIPTextModel(text_config()),
        "tokenizer": tokenizer(),
        "unet": unet,
        "scheduler": scheduler,
        **NOTHING,
    }


def ddim(**config: Any) -> DDIMScheduler:
    return DDIMScheduler.from_config(STABLE_DIFFUSION | config)


def stable_diffusion(**config: Any) -> Any:
    """A Stable Diffusion whose scheduler has these fields."""
    return StableDiffusionPipeline(**parts(unet(), ddim(**config)))


def stable_diffusion_2() -> Any:
    """Of the second generation: another text encoder, linear projections, v-prediction."""
    network = unet(attention_head_dim=(2, 4), use_linear_projection=True)
    own = parts(network, ddim(prediction_type="v_prediction"))
    return StableDiffusionPipeline(**own | {"text_encoder": CLIPTextModel(text_config(hidden_act="gelu"))})


def latent_consistency(**fields: Any) -> Any:
    """A latent consistency model; fields as for ``unet``."""
    scheduler = LCMScheduler.from_config(STABLE_DIFFUSION | {"prediction_type": "epsilon"})
    return LatentConsistencyModelPipeline(**parts(unet(**fields), scheduler))


def inpainting() -> Any:
    return StableDiffusionInpaintPipeline(**parts(unet(in_channels=9), ddim()))


def told_of_depth() -> Any:
    return StableDiffusionPipeline(**parts(unet(in_channels=5), ddim()))


def instruct_pix2pix() -> Any:
    return StableDiffusionInstructPix2PixPipeline(**parts(unet(in_channels=8), ddim()))


def xl_unet(**fields: Any) -> UNet2DConditionModel:
    """A UNet of SDXL's kind, which is told a pooled text and six sizes."""
    shape = {
        "cross_attention_dim": WIDTH + SECOND_WIDTH,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + POOLED,
        "transformer_layers_per_block": (1, 2),
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
    }
    return unet(**{**shape, **fields})


def xl_parts(
    *, first: CLIPTextModel | None = None, length: int = 77, layers: int = 2, **fields: Any
) -> dict[str, Any]:
    """The parts of an SDXL.

    Args:
        first: its first text encoder.
        length: tokens that both encoders read.
        layers: of the second one.
        fields: of the UNet.
    """
    shape = {"hidden_size": SECOND_WIDTH, "projection_dim": POOLED, "num_hidden_layers": layers}
    first = first or CLIPTextModel(text_config(max_position_embeddings=length))
    second = text_config(max_position_embeddings=length, hidden_act="gelu", **shape)
    return {
        "vae": vae(),
        "text_encoder": first,
        "text_encoder_2": CLIPTextModelWithProjection(second),
        "tokenizer": tokenizer(model_max_length=length),
        "tokenizer_2": tokenizer(model_max_length=length, pad_token="!"),
        "unet": xl_unet(**{"cross_attention_dim": first.config.hidden_size + SECOND_WIDTH, **fields}),
        "scheduler": EulerDiscreteScheduler.from_config(STABLE_DIFFUSION | {"prediction_type": "epsilon"}),
    }


def stable_diffusion_xl(**options: Any) -> Any:
    """One whose empty negative prompts are zeros; options as for ``xl_parts``."""
    return StableDiffusionXLPipeline(**xl_parts(**options))


def stable_diffusion_xl_refiner(**options: Any) -> Any:
    """A refiner, whose UNet reads the second encoder's states and five numbers; options as for ``xl_parts``."""
    told = {"cross_attention_dim": SECOND_WIDTH, "projection_class_embeddings_input_dim": 5 * 8 + POOLED}
    parts = {**xl_parts(**told, **options), "text_encoder": None, "tokenizer": None}
    return StableDiffusionXLImg2ImgPipeline(
        **parts, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False
    )


def stable_diffusion_xl_inpainting() -> Any:
    return StableDiffusionXLInpaintPipeline(**xl_parts(in_channels=9))


EMBEDDING, VISION_PX = 24, 32  # of Stable unCLIP's image encoder


def stable_unclip(embedding: int = EMBEDDING, normalized: int = EMBEDDING, **fields: Any) -> Any:
    """A Stable unCLIP, which is told embeddings of pictures.

    Args:
        embedding: numbers of one.
        normalized: of those that its normalizer is for.
        fields: of the UNet.
    """
    told = {
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 2 * EMBEDDING,
        **fields,
    }
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=VISION_PX,
        patch_size=8,
        projection_dim=embedding,
    )
    normalizer = StableUnCLIPImageNormalizer(normalized)
    with torch.no_grad():
        normalizer.mean.normal_()
        normalizer.std.uniform_(0.5, 2)
    own = {name: part for name, part in parts(unet(**told), ddim()).items() if name not in NOTHING}
    return StableUnCLIPImg2ImgPipeline(
        **own,
        feature_extractor=CLIPImageProcessor(size=VISION_PX, crop_size=VISION_PX),
        image_encoder=CLIPVisionModelWithProjection(vision),
        image_normalizer=normalizer,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    )


def flux() -> Any:
    transformer = FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(shift_factor=0.1),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )


def pixels() -> Any:
    network = UNet2DModel(
        sample_size=16,
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    return DDPMPipeline(network, DDPMScheduler())


_MADE: dict[Callable[[], Any], Path] = {}  # where a copy of each checkpoint is that was made before


def written(make: Callable[[], Any], folder: Path) -> Path:
    """The folder of a checkpoint with random weights: made once of each function of a module, and then copied."""
    if (made := _MADE.get(make)) is not None:
        shutil.copytree(made, folder, dirs_exist_ok=True)
    else:
        torch.manual_seed(0)
        make().save_pretrained(folder)
        if "<" not in getattr(make, "__qualname__", "<partial>"):
            _MADE[make] = Path(_place(), str(len(_MADE)))
            shutil.copytree(folder, _MADE[make])
    torch.manual_seed(1)  # what a test draws next depends on neither way
    return folder


@cache
def _place() -> str:
    place = tempfile.mkdtemp(prefix="lodestar-")
    atexit.register(shutil.rmtree, place)
    return place
