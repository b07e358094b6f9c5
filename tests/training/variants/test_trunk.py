"""The ControlNet that training starts from against the denoiser that it is a copy of."""

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from training import glyphs
from training.settings import models_folder
from training.variants.edges import edges_of, followed
from training.variants.fill import Texts
from training.variants.trunk import control_of, embedding

CAPTIONS = [f"{style} {name}" for style in glyphs.STYLES for name in glyphs.learned()[:100]]
OTHERS = ["fluent teapot on a yellow background", "twemoji robot", "a hamburger", ""]


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    network = UNet2DConditionModel.from_pretrained(models_folder() / "pocket" / "unet").float().eval()
    network.requires_grad_(False)
    return network


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts()


@pytest.fixture(scope="module")
def control(unet: UNet2DConditionModel, texts: Texts) -> ControlNetModel:
    torch.manual_seed(0)
    return control_of(unet, texts(CAPTIONS)).eval()


def _inputs(texts: Texts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    x, maps = torch.randn(4, 8, 16, 16, generator=rng), torch.rand(4, 3, 64, 64, generator=rng)
    return x, torch.tensor([10, 300, 600, 990]), texts(OTHERS), maps


@torch.no_grad()
def test_at_first_it_changes_nothing(
    unet: UNet2DConditionModel, control: ControlNetModel, texts: Texts
) -> None:
    x, t, states, maps = _inputs(texts)
    assert torch.equal(followed(unet, control, x, t, states, maps), unet(x, t, states).sample)


@torch.no_grad()
def test_its_attentions_read_raw_states_as_the_denoisers_read_projected_ones(
    unet: UNet2DConditionModel, control: ControlNetModel, texts: Texts
) -> None:
    states = texts(OTHERS)
    names = [name for name, _ in control.named_modules() if name.endswith("attn2")]
    assert names
    for name in names:
        theirs, ours = unet.get_submodule(name), control.get_submodule(name)
        hidden = torch.randn(4, 64, theirs.to_q.in_features, generator=torch.Generator().manual_seed(2))
        expected = theirs(hidden, unet.encoder_hid_proj(states))
        assert (ours(hidden, states) - expected).abs().max() < 1e-4 * expected.abs().max()


@torch.no_grad()
def test_its_blocks_are_told_most_of_what_the_denoisers_are_of_time_and_text(
    unet: UNet2DConditionModel, control: ControlNetModel, texts: Texts
) -> None:
    _, t, states, _ = _inputs(texts)
    wide, narrow = embedding(unet, t, states), embedding(control, t, states)
    for name, layer in control.named_modules():
        if name.endswith("time_emb_proj"):
            wanted = unet.get_submodule(name)(F.silu(wide))
            error = (layer(F.silu(narrow)) - wanted).square().mean()
            assert error < 0.4 * wanted.var(dim=0).mean(), name


def test_the_edges_of_a_square_are_its_outline() -> None:
    picture = torch.full((3, 32, 32), -1.0)
    picture[:, 8:24, 8:24] = 1
    edges = torch.from_numpy(edges_of(picture.numpy()))
    outline = torch.zeros(32, 32, dtype=torch.bool)
    outline[7:25, 7:25] = True
    outline[10:22, 10:22] = False
    assert bool(edges.any(dim=1)[8:24].all())
    assert not bool((edges & ~outline).any())
