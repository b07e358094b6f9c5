"""What is loaded computes bit for bit what the libraries' own loading gives."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from tests.worker.conftest import ROOT
from tests.worker.models.predicting import predicted
from tests.worker.models.variants import POCKET, load
from worker.models.device import Device
from worker.models.loading.openclip import load_openclip
from worker.models.shared import SharedNetworks
from worker.settings import WorkerSettings

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
# A network with batch norm has whole numbers among its buffers; one with a bias of its logits keeps its text tower as
# a module.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "ViT": {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT},
    "ViT with a module": {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT, "custom_text": True},
    "ResNet": {
        "embed_dim": 16,
        "vision_cfg": VISION | {"layers": [1, 1, 1, 1], "patch_size": None},
        "text_cfg": TEXT,
    },
    "SigLIP": {
        "embed_dim": 16,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": VISION | {"pool_type": "avg", "final_ln_after_pool": True},
        "text_cfg": TEXT | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
    },
    "CoCa": {
        "embed_dim": 16,
        "vision_cfg": VISION | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": TEXT | {"attn_pooler_heads": 2},
        "custom_text": True,
    },
}


def write_clip(folder: Path, architecture: str) -> Path:
    """A folder with random weights."""
    folder.mkdir()
    config = {
        "model_cfg": ARCHITECTURES[architecture],
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.4] * 3},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    network = open_clip.create_model(f"local-dir:{folder}")
    drawn = {
        key: torch.randn(tensor.shape) * 0.1 if tensor.is_floating_point() else tensor
        for key, tensor in network.state_dict().items()
    }
    drawn |= {key: tensor.abs() for key, tensor in drawn.items() if key.endswith("running_var")}
    save_file(drawn, folder / "open_clip_model.safetensors")
    return folder


def old_names(folder: Path) -> None:
    """Rewrite the weights as before the text tower was a module, and the scale as one number in a list."""
    network = open_clip.create_model(f"local-dir:{folder}")
    state = {key.removeprefix("text."): tensor.clone() for key, tensor in network.state_dict().items()}
    state["logit_scale"] = state["logit_scale"].reshape(1)
    save_file(state, folder / "open_clip_model.safetensors")


def device(dtype: str) -> Device:
    return Device(WorkerSettings.model_validate({"device": "cpu", "dtype": dtype}))


def require_same(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """Refuse networks that differ in a tensor, its format or its place, buffers that no file holds included."""
    for kind in ("named_parameters", "named_buffers"):
        mine, others = dict(getattr(ours, kind)()), dict(getattr(theirs, kind)())
        assert mine.keys() == others.keys()
        for name, other in others.items():
            assert (mine[name].dtype, mine[name].device) == (other.dtype, other.device), name
            assert torch.equal(mine[name], other), name
            assert mine[name].stride() == other.stride(), name


@pytest.mark.filterwarnings("ignore")  # of libraries about small networks
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "pocket-m", "old names"])
def test_a_clip_is_what_openclip_loads(architecture: str, dtype: str, tmp_path: Path) -> None:
    folder = ROOT / "models" / architecture
    if architecture == "old names":
        folder = write_clip(tmp_path / "clip", "ViT with a module")
        old_names(folder)
    elif architecture in ARCHITECTURES:
        folder = write_clip(tmp_path / "clip", architecture)
    where = device(dtype)
    theirs: Any = open_clip.create_model(f"local-dir:{folder}").to(where.device, where.dtype)
    theirs.eval().requires_grad_(False)
    ours: Any = load_openclip(folder, where, SharedNetworks())
    require_same(ours, theirs)
    assert open_clip.get_model_preprocess_cfg(ours) == open_clip.get_model_preprocess_cfg(theirs)
    px, length = (48, 32) if architecture == "pocket-m" else (32, 16)
    pixels, tokens = torch.rand(2, 3, px, px).to(where.dtype), torch.arange(1, length + 1)[None]
    with torch.inference_mode():
        # Weights that lie in a file's memory may begin between the places that sums of several numbers begin at.
        atol = 1e-6 if dtype == "fp32" else 0.0
        for mine, other in (
            (ours.encode_image(pixels), theirs.encode_image(pixels)),
            (ours.encode_text(tokens), theirs.encode_text(tokens)),
        ):
            torch.testing.assert_close(mine, other, rtol=10 * atol, atol=atol)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_diffusion_model_is_what_diffusers_loads(dtype: str) -> None:
    where = device(dtype)
    theirs: Any = StableDiffusionPipeline.from_pretrained(POCKET, dtype=where.dtype)
    ours = load(POCKET, dtype=dtype)
    for mine, other in zip(ours.networks, (theirs.text_encoder, theirs.unet, theirs.vae), strict=True):
        require_same(mine, other)
    tokens = theirs.tokenizer(["a red apple"], padding="max_length", return_tensors="pt").input_ids
    latents, context = torch.randn(1, 8, 8, 8), theirs.text_encoder(tokens)[0].detach()
    assert torch.equal(ours.encode_texts(["a red apple"]), context)
    with torch.inference_mode():
        expected: Tensor = theirs.unet(
            latents.to(where.dtype), torch.tensor([500]), context, return_dict=False
        )[0]
    assert torch.equal(predicted(ours, latents, torch.tensor([500]), context), expected.float())
