"""A CLIP's embeddings, and its batches of cutouts."""

import copy
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from jobs.errors import ModelUnavailableError
from tests.worker.conftest import ROOT
from worker.calls import Guide
from worker.engine.batches import guide
from worker.guidance.cutouts import AUGMENTATIONS, CutoutSpec, draw_cutouts
from worker.guidance.objectives import ClipTerm, ClipTerms, Loss, PixelTerm, SphericalLoss
from worker.models.clip import FEW_TOKENS, ClipModel
from worker.models.device import Device
from worker.models.loader import Ref
from worker.models.registry import ModelRegistry, _Resident
from worker.settings import WorkerSettings


def small_clip(px: int, patch: int) -> ClipModel:
    """A CLIP with as many tokens as one of this size has, and hardly any weights."""
    vision = {"image_size": px, "patch_size": patch, "width": 16, "layers": 1, "head_width": 8}
    text = {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 1, "layers": 1}
    network = open_clip.CLIP(embed_dim=8, vision_cfg=vision, text_cfg=text)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{ROOT / 'models' / 'pocket-m'}")
    return ClipModel(network, tokenizer, Device(WorkerSettings(device="cpu")))


def test_it_sees_what_the_stock_network_sees() -> None:
    torch.manual_seed(0)
    clip, pictures = small_clip(64, 8), torch.rand(3, 3, 64, 64)
    visual: Any = clip.networks[0].visual
    ours = clip.embed(pictures)
    assert not visual.transformer.batch_first
    visual.transformer.batch_first = True  # as open_clip makes it
    for block in visual.transformer.resblocks:
        block.attn.batch_first = True
    assert torch.allclose(clip.embed(pictures), ours, atol=1e-6)


def test_it_is_tried_out_on_few_tokens_and_all_weights(models: ModelRegistry) -> None:
    network: Any = models.clip("pocket-m").networks[0]
    clip = ClipModel(network, models.clip("pocket-m")._tokenizer, models.device)
    tokens: list[int] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, inputs: tokens.append(max(inputs[0].shape[:2])))
        for block in (*network.visual.transformer.resblocks, *network.transformer.resblocks)
    ]
    clip.try_out()
    for hook in hooks:
        hook.remove()
    assert tokens == [FEW_TOKENS] * len(hooks)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(clip.embed_text("a fox"), models.clip("pocket-m").embed_text("a fox"))
    assert torch.equal(clip.embed_pictures(picture), models.clip("pocket-m").embed_pictures(picture))
    assert clip.width == clip.embed_text("a fox").shape[1]


@pytest.mark.parametrize("part", ["visual.transformer", "transformer"])
def test_a_weight_that_overflows_is_found_with_few_tokens(part: str, models: ModelRegistry) -> None:
    stock = models.clip("pocket-m")
    network: Any = copy.deepcopy(stock.networks[0])
    transformer: Any = network.get_submodule(part)
    transformer.resblocks[-1].mlp.c_proj.weight.fill_(3e38)
    with pytest.raises(ModelUnavailableError, match="not finite"):
        ClipModel(network, stock._tokenizer, models.device).try_out()


@pytest.mark.parametrize(
    ("px", "patch", "cutouts"), [(224, 14, 8), (224, 32, 32), (336, 14, 3), (896, 14, 1)]
)
def test_the_finer_a_clip_sees_the_fewer_cutouts_it_embeds_at_a_time(
    px: int, patch: int, cutouts: int
) -> None:
    assert small_clip(px, patch).batch_cutouts == cutouts


def test_all_cutouts_are_embedded_and_never_too_many_at_a_time(
    models: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, diffusion = small_clip(224, 14), models.diffusion("pocket")
    monkeypatch.setitem(models._resident, Ref("clip", "c"), _Resident(clip))
    seen: list[int] = []
    visual: Any = clip.networks[0].visual
    visual.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    rng = torch.Generator().manual_seed(0)

    def asked() -> Guide:
        cutouts = draw_cutouts(CutoutSpec(9, augmentation=AUGMENTATIONS["laion"]), (64, 64), clip.px, rng)
        target: Tensor = torch.eye(8)[:1]
        latents = torch.randn(1, diffusion.facts.latent_channels, 16, 16, generator=rng)
        return Guide(
            "pocket",
            latents,
            Loss((ClipTerms("c", cutouts, (ClipTerm(0, 1.0, SphericalLoss(target)),)),)),
            "vae",
        )

    gradients = guide([asked(), asked()], models, 32)
    assert seen == [8, 8, 2]
    assert all(gradient.value.abs().amax() > 0 for gradient in gradients)
    smaller = guide([asked()], models, 5)
    assert (seen[3:], len(smaller)) == ([5, 4], 1)


def test_losses_of_pixels_alone_need_no_clip(models: ModelRegistry) -> None:
    diffusion = models.diffusion("pocket")
    latents = torch.randn(
        1, diffusion.facts.latent_channels, 16, 16, generator=torch.Generator().manual_seed(0)
    )
    (gradient,) = guide([Guide("pocket", latents, Loss((), (PixelTerm(0, 1.0, "tv"),)), "vae")], models, 32)
    assert gradient.value.abs().amax() > 0
