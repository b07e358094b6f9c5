"""Weights and parts that do not fit are refused when they are loaded, and named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from benchmarks.loading.single_file import write_single_file
from jobs.catalog.models import ClipCard
from jobs.errors import ModelUnavailableError
from tests.worker.conftest import ROOT
from tests.worker.models.predicting import predicted
from tests.worker.models.variants import POCKET, Tensors, copy_of_pocket, edit, load, rewrite
from worker.aesthetics.predictor import load_head
from worker.models.device import Device
from worker.models.loading.clip import load_clip
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))


def refusal(path: Path, **fields: Any) -> str:
    """The error of a model that cannot be loaded."""
    with pytest.raises(ModelUnavailableError) as refused:
        load(path, **fields)
    return refused.value.message


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if part not in key}


def spoiled(number: float) -> Callable[[Tensors], Tensors]:
    """One number of the last tensor is another."""

    def change(tensors: Tensors) -> Tensors:
        key = list(tensors)[-1]
        tensor = tensors[key].clone()
        tensor.view(-1)[-1] = number
        return tensors | {key: tensor}

    return change


def cut_short(tensors: Tensors) -> Tensors:
    key = next(key for key, tensor in tensors.items() if tensor.ndim == 2)
    return tensors | {key: tensors[key][:-1].clone()}


def whole_numbers(tensors: Tensors) -> Tensors:
    key = next(iter(tensors))
    return tensors | {key: tensors[key].to(torch.int8)}


NETWORKS = {"text_encoder": "text encoder", "unet": "UNet", "vae": "VAE"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without(".1."), r"missing: \S+, \S+, \S+, \.\.\.$"),
        (
            lambda tensors: {f"module.{key}": value for key, value in tensors.items()},
            r"missing: .* unexpected: module\.",
        ),
        (lambda tensors: tensors | {"extra.weight": torch.ones(3)}, "1 unexpected: extra.weight$"),
        (cut_short, r"1 of another shape: \S+ is \d+ x \d+ and should be \d+ x \d+$"),
        (spoiled(float("nan")), r"not finite in float32: \S+$"),
        (spoiled(float("-inf")), r"not finite in float32: \S+$"),
        (whole_numbers, "as torch.int8, which is no float"),
    ],
    ids=["hole", "prefix", "left over", "shape", "nan", "infinite", "int8"],
)
def test_weights_that_are_not_a_network_s_own_are_refused_and_named(
    network: str, change: Callable[[Tensors], Tensors], said: str, tmp_path: Path
) -> None:
    folder = copy_of_pocket(tmp_path / "m", network)
    rewrite(folder / network, change)
    message = refusal(folder)
    assert message.startswith("m: ")
    assert f"the {NETWORKS[network]}" in message
    assert re.search(said, message), message


def test_what_changes_nothing_may_be_left_over(tmp_path: Path) -> None:
    folder = copy_of_pocket(tmp_path / "m", "text_encoder", "unet", "vae")
    extra = torch.ones(2)
    rewrite(
        folder / "text_encoder",
        lambda tensors: (
            {f"text_model.{key}": value for key, value in tensors.items()}
            | {
                "text_model.embeddings.position_ids": torch.arange(32)[None],
                "text_projection.weight": extra,
                "vision_model.post_layernorm.weight": extra.clone(),
                "logit_scale": torch.tensor(1.0),
            }
        ),
    )
    rewrite(folder / "unet", lambda tensors: tensors | {"model_ema.decay": torch.tensor(0.5)})
    rewrite(folder / "vae", with_old_attention)
    ours, theirs = load(folder), load(POCKET)
    text, latents = theirs.encode_texts(["a red apple"]), torch.ones(1, 8, 8, 8)
    assert torch.equal(ours.encode_texts(["a red apple"]), text)
    one, other = (predicted(model, latents, torch.tensor([500]), text) for model in (ours, theirs))
    assert torch.equal(one, other)
    assert torch.equal(ours.render(latents), theirs.render(latents))


def with_old_attention(tensors: Tensors) -> Tensors:
    """A VAE's weights as diffusers wrote them before 0.17."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def renamed(key: str) -> str:
        for new, name in old.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
        return key

    return {renamed(key): tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("file", "fields", "said"),
    [
        ("model_index.json", {"_class_name": "StableDiffusion3Pipeline"}, "is a StableDiffusion3Pipeline"),
        ("model_index.json", {"_class_name": "StableDiffusionXLPipeline"}, "catalog says sd: write family = 'sdxl'"),
        ("model_index.json", {"_class_name": None}, "is a None"),
        ("model_index.json", {"text_encoder": ["transformers", "T5EncoderModel"]}, "text_encoder is a T5EncoderModel"),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderTiny"]}, "vae is a AutoencoderTiny"),
        ("model_index.json", {"text_encoder_2": ["transformers", "CLIPTextModel"]}, "not served: text_encoder_2"),
        ("model_index.json", {"unet": [None, None]}, "names no unet"),
        ("model_index.json", {"scheduler": ["os", "system"]}, "a system, is not one of diffusers'"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow_prediction"}, "is 'flow_prediction'"),
        (
            "scheduler/scheduler_config.json",
            {"rescale_betas_zero_snr": True, "prediction_type": "epsilon"},
            "rescale_betas_zero_snr needs a prediction_type other than 'epsilon'",
        ),
        (
            "scheduler/scheduler_config.json",
            {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "use_karras_sigmas": True},
            "use_karras_sigmas spreads its levels from the largest sigma down",
        ),
        (
            "scheduler/scheduler_config.json",
            {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True},
            "by betas",
        ),
        ("text_encoder/config.json", {"model_type": "roberta"}, "a roberta, not a CLIP's"),
        ("text_encoder/config.json", {"hidden_size": 96}, "states of 192 numbers, and the text encoder's have 96"),
        ("text_encoder/config.json", {"vocab_size": 2000}, "up to 2047, and the text encoder knows 2000"),
        ("unet/config.json", {"encoder_hid_dim": 768}, "states of 768 numbers, and the text encoder's have 192"),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),
        ("unet/config.json", {"class_embed_type": "projection"}, "class_embed_type is 'projection'"),
        ("unet/config.json", {"num_class_embeds": 1000}, "num_class_embeds is 1000"),
        ("unet/config.json", {"encoder_hid_dim_type": "ip_image_proj"}, "encoder_hid_dim_type is 'ip_image_proj'"),
        ("unet/config.json", {"in_channels": 15}, "takes 15 channels and the VAE's latents have 8"),
        ("unet/config.json", {"out_channels": 16}, "gives 16 channels and the VAE's latents have 8"),
        ("unet/config.json", {"_class_name": "UNet3DConditionModel"}, "unet is a UNet3DConditionModel"),
        ("vae/config.json", {"latent_channels": 4}, "the UNet gives 8 channels and the VAE's latents have 4"),
        ("vae/config.json", {"shift_factor": 0.1}, "shifts its latents"),
    ],
)  # fmt: skip
def test_a_model_of_another_kind_is_refused_and_the_reason_named(
    file: str, fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = copy_of_pocket(tmp_path / "m", Path(file).parts[0])
    if "_class_name" in fields and file.startswith("scheduler"):
        edit(folder / "model_index.json", scheduler=["diffusers", fields["_class_name"]])
    edit(folder / file, **fields)
    assert said in refusal(folder)


def test_networks_of_other_sizes_with_weights_of_their_own_are_refused(tmp_path: Path) -> None:
    folder = copy_of_pocket(tmp_path / "vae")
    (folder / "vae").unlink()
    AutoencoderKL(latent_channels=4, norm_num_groups=8, block_out_channels=(16,)).save_pretrained(
        folder / "vae"
    )
    assert "the UNet gives 8 channels and the VAE's latents have 4" in refusal(folder)
    folder = copy_of_pocket(tmp_path / "unet")
    (folder / "unet").unlink()
    UNet2DConditionModel(
        in_channels=8, out_channels=8, cross_attention_dim=128, block_out_channels=(32,), norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), layers_per_block=1,
    ).save_pretrained(folder / "unet")  # fmt: skip
    assert "states of 128 numbers, and the text encoder's have 192" in refusal(folder)


@pytest.mark.parametrize("part", ["scheduler", "tokenizer", "unet"])
def test_a_part_that_is_not_there_is_named(part: str, tmp_path: Path) -> None:
    folder = copy_of_pocket(tmp_path / "m")
    (folder / part).unlink()
    assert part in refusal(folder)


def test_a_folder_is_the_same_model_after_each_load() -> None:
    one, other = load(POCKET), load(POCKET)
    text, latents = one.encode_texts(["a red apple"]), torch.ones(1, 8, 8, 8)
    assert torch.equal(other.encode_texts(["a red apple"]), text)
    again = predicted(other, latents, torch.tensor([500]), text)
    assert torch.equal(again, predicted(one, latents, torch.tensor([500]), text))


@pytest.fixture(scope="module")
def checkpoint(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as one file."""
    file = tmp_path_factory.mktemp("single") / "whole.safetensors"
    write_single_file(plain, file, layers=1, with_attention=(False, True))
    return file


class TestSingleFiles:
    @pytest.mark.filterwarnings("ignore::FutureWarning")
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (without("first_stage_model.decoder.mid"), "those of the VAE: 26 missing: decoder.mid_block"),
            (without("mlp.fc1"), "those of the text encoder: 6 missing"),
            (without("model.diffusion_model.out"), "those of the UNet: 106 missing: up_blocks.0"),
            (without("cond_stage_model."), "holds no text encoder"),
            (
                lambda tensors: tensors | {"model.diffusion_model.label_emb.0.weight": torch.ones(2)},
                "those of the UNet: 1 unexpected: label_emb.0.weight",
            ),
            (spoiled(float("nan")), "not finite"),
        ],
        ids=["vae", "text", "unet", "no text", "left over", "nan"],
    )
    def test_a_checkpoint_with_other_weights_is_refused_and_they_are_named(
        self, change: Callable[[Tensors], Tensors], said: str, checkpoint: Path, plain: Path, tmp_path: Path
    ) -> None:
        save_file(change(load_file(checkpoint)), tmp_path / "m.safetensors")
        assert said in refusal(tmp_path / "m.safetensors", config=plain)

    @pytest.mark.filterwarnings("ignore::FutureWarning")
    def test_what_belongs_to_no_network_is_left_out(
        self, checkpoint: Path, plain: Path, tmp_path: Path
    ) -> None:
        extra = {
            "model_ema.decay": torch.ones(1),
            "alphas_cumprod": torch.ones(5),
            "first_stage_model.loss.logvar": torch.ones(1),
            "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(32)[None],
        }
        save_file(load_file(checkpoint) | extra, tmp_path / "m.safetensors")
        assert load(tmp_path / "m.safetensors", config=plain).facts == load(plain).facts


class TestClips:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (without("resblocks.1."), r"those of the CLIP: 24 missing: \S+, \S+, \S+, ...$"),
            (lambda tensors: tensors | {"extra": torch.ones(1)}, "those of the CLIP: 1 unexpected: extra$"),
            (
                lambda tensors: (
                    tensors | {"positional_embedding": tensors["positional_embedding"][:16].clone()}
                ),
                "positional_embedding is 16 x 192 and should be 32 x 192",
            ),
            (
                lambda tensors: (
                    tensors
                    | {"visual.positional_embedding": tensors["visual.positional_embedding"][:17].clone()}
                ),
                "visual.positional_embedding is 17 x 192 and should be 37 x 192",
            ),
            (spoiled(float("inf")), "the CLIP has weights that are not finite"),
        ],
        ids=["hole", "left over", "positions of texts", "positions of pictures", "infinite"],
    )
    def test_weights_that_are_not_a_clip_s_own_are_refused_and_named(
        self, change: Callable[[Tensors], Tensors], said: str, tmp_path: Path
    ) -> None:
        source = ROOT / "models" / "pocket-m"
        for file in source.iterdir():
            (tmp_path / file.name).symlink_to(file)
        weights = tmp_path / "open_clip_model.safetensors"
        weights.unlink()
        save_file(change(load_file(source / weights.name)), weights)
        with pytest.raises(ModelUnavailableError, match=said):
            load_clip(ClipCard(id="c", path=tmp_path), CPU)

    def test_a_head_of_numbers_that_are_none_is_refused(self, tmp_path: Path) -> None:
        save_file(
            {"weight": torch.full((1, 8), torch.nan), "bias": torch.zeros(1)}, tmp_path / "head.safetensors"
        )
        with pytest.raises(ModelUnavailableError, match="not finite"):
            load_head(tmp_path / "head.safetensors", clip="c", width=8)
