"""Control-LoRAs and ControlNets in one file: what they draw beside the model whose encoder they borrow."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import load_file, save_file
from torch import Tensor

from jobs.catalog.catalog import Catalog
from jobs.catalog.controls import ControlCard
from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from jobs.requests.samplers import SamplerName, ScheduleName
from tests.worker.models.controls.conftest import PX, control_lora, described, merged
from tests.worker.models.controls.test_controls import MAP, ask, latents_of, picture
from tests.worker.models.families import checkpoints
from tests.worker.models.variants import POCKET
from tests.worker.sampling.stock import stock_scheduler
from worker.canvas import canvas_of
from worker.models.controls.borrowing import BorrowingControlNet
from worker.models.controls.control import Base, Control, UNetCall
from worker.models.controls.loading import load_control
from worker.models.controls.original import is_original, named_anew
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.models.registry import ModelRegistry
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
WEIGHTS = "diffusion_pytorch_model.safetensors"
# Parts of a UNet's layers by the names of the original releases.
_INNER = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_KINDS = {"lora_A.weight": "down", "lora_B.weight": "up"}


def places(layers: int, levels: int, hints: int) -> dict[str, str]:
    """The original releases' names of a ControlNet's parts."""
    found = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "controlnet_mid_block": "middle_block_out.0",
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * hints + 2}",
    }
    found |= {f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}" for i in range(hints)}
    number = 0
    for level in range(levels):
        for layer in range(layers):
            number += 1
            found[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{number}.0"
            found[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
        if level + 1 < levels:
            number += 1
            found[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
    return found | {f"controlnet_down_blocks.{i}": f"zero_convs.{i}.0" for i in range(number + 1)}


def named_originally(tensors: dict[str, Tensor], layers: int, levels: int, hints: int) -> dict[str, Tensor]:
    known, made = places(layers, levels, hints), {}
    for name, tensor in tensors.items():
        place = next(each for each in known if name.startswith(f"{each}."))
        rest = name.removeprefix(f"{place}.")
        for new, old in (*_INNER.items(), *_KINDS.items()):
            if rest == new or rest.startswith(f"{new}.") or rest.endswith(f".{new}"):
                rest = rest.replace(new, old, 1)
        made[f"{known[place]}.{rest}"] = tensor
    return made


@pytest.fixture(scope="module")
def unet(folders: dict[str, Path]) -> UNet2DConditionModel:
    return UNet2DConditionModel.from_pretrained(folders["tiny"], subfolder="unet")


@pytest.fixture(scope="module")
def lora(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    return control_lora(unet, seed=5, factor=2)


@pytest.fixture(scope="module")
def borrowing(
    folders: dict[str, Path],
    lora: dict[str, Tensor],
    pocket_catalog: Catalog,
    tmp_path_factory: pytest.TempPathFactory,
) -> ModelRegistry:
    """The tiny model, a Control-LoRA in two forms, and a ControlNet in three."""
    root = tmp_path_factory.mktemp("borrowing")
    whole = load_file(folders["edges"] / WEIGHTS)
    files = {
        "stability": {**named_originally(lora, 1, 2, 2), "lora_controlnet": torch.zeros(0)},
        "single": whole,
        "original": {
            f"control_model.{name}": each for name, each in named_originally(whole, 1, 2, 2).items()
        },
    }
    paths = {"lora": described(root / "lora", lora), "edges": folders["edges"]}
    for name, tensors in files.items():
        paths[name] = root / f"{name}.safetensors"
        save_file(tensors, paths[name])
    size = {"width": PX, "height": PX, "min_px": PX, "max_px": 2 * PX, "cfg_scale": 5}
    model = ModelCard.model_validate({"id": "tiny", "path": folders["tiny"], "clip": "pocket-m", **size})
    controls = tuple(ControlCard(id=name, path=path) for name, path in paths.items())
    return ModelRegistry(Catalog(models=(model,), clips=pocket_catalog.clips, controls=controls), CPU)


def drawn(models: ModelRegistry, control: str) -> Tensor:
    return latents_of(ask(models, {"model": control, "image": MAP}), models)


def test_a_control_lora_draws_what_the_stock_pipeline_draws_with_its_merged_weights(
    unet: UNet2DConditionModel, lora: dict[str, Tensor], folders: dict[str, Path], borrowing: ModelRegistry
) -> None:
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    heads = {name: tensor for name, tensor in lora.items() if name.startswith("controlnet_")}
    network.load_state_dict(merged(unet, lora) | heads)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        folders["tiny"], controlnet=network, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    config = dict(pipeline.scheduler.config)
    pipeline.scheduler = stock_scheduler((SamplerName.DDIM, ScheduleName.DEFAULT), config)
    request = ask(borrowing, {"model": "lora", "image": MAP})
    theirs = pipeline(
        request.prompt,
        image=picture(MAP),
        negative_prompt=request.negative_prompt,
        height=PX,
        width=PX,
        num_inference_steps=request.steps,
        guidance_scale=request.cfg_scale,
        latents=torch.randn(1, 4, PX // 2, PX // 2, generator=torch.Generator().manual_seed(request.seed)),
        output_type="latent",
    ).images
    assert float((drawn(borrowing, "lora") - theirs).abs().max()) < 2e-4
    assert float((latents_of(ask(borrowing), borrowing) - theirs).abs().max()) > 0.01


@pytest.mark.parametrize(
    ("control", "same"), [("stability", "lora"), ("single", "edges"), ("original", "edges")]
)
def test_a_control_draws_the_same_in_every_form(control: str, same: str, borrowing: ModelRegistry) -> None:
    assert float((drawn(borrowing, control) - drawn(borrowing, same)).abs().max()) < 2e-5


def test_a_control_lora_takes_its_files_memory_and_shares_the_rest(
    lora: dict[str, Tensor], borrowing: ModelRegistry
) -> None:
    drawn(borrowing, "lora")
    control = borrowing.control("lora")
    held = sum(tensor.nbytes for each in control.networks for tensor in (*each.parameters(), *each.buffers()))
    assert held == sum(tensor.nbytes for tensor in lora.values())
    assert isinstance(control, BorrowingControlNet)
    unet = borrowing.diffusion("tiny").networks[1]
    own = {tensor.data_ptr() for tensor in unet.parameters()}
    (half,) = control._halves.values()
    borrowed = [name for name, tensor in half.named_parameters() if tensor.data_ptr() in own]
    assert len(borrowed) == len(list(half.named_parameters())) - 1  # all but the replaced bias


def reference(unet: Any, lora: dict[str, Tensor], encoded: Tensor, *inputs: Tensor) -> list[Tensor]:
    """What a Control-LoRA adds, by hooks on a UNet with its merged weights."""
    network = copy.deepcopy(unet)
    network.load_state_dict(merged(unet, lora), strict=False)
    seen: list[Tensor] = []

    def read(*call: Any) -> Tensor:
        seen.append(call[2] + encoded)
        return seen[0]

    network.conv_in.register_forward_hook(read)
    for block in network.down_blocks:
        block.register_forward_hook(lambda *call: seen.extend(call[2][1]))
    network.mid_block.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        network(*inputs)
    outlets = [name for name in lora if name.endswith(".weight") and name.startswith("controlnet_down")]
    outlets.append("controlnet_mid_block.weight")
    return [
        torch.nn.functional.conv2d(each, lora[name], lora[name.replace("weight", "bias")])
        for each, name in zip(seen, outlets, strict=True)
    ]


def test_a_model_that_is_no_standard_base_has_control_loras(tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(POCKET / "unet").requires_grad_(False)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        ControlNetModel.from_unet(unet)
    lora = control_lora(unet, seed=1, factor=4)
    card = ControlCard(id="edges", path=described(tmp_path / "edges", lora))
    control = load_control(card, CPU, Digests())
    control.require_fit(Base(unet, 8, 4))
    rng = torch.Generator().manual_seed(0)
    canvases = [
        canvas_of(torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=rng)) for _ in range(2)
    ]
    inputs = (
        torch.randn(2, 8, 16, 16, generator=rng),
        torch.tensor([900, 30]),
        torch.randn(2, 32, 192, generator=rng),
    )
    (encoded,) = read = control.read(canvases)
    assert encoded.shape == (2, 64, 16, 16)
    with torch.no_grad():
        found = control.additions(UNetCall(unet, *inputs), read)
    expected = reference(unet, lora, encoded, *inputs)
    assert len(found) == len(expected) == 7
    largest = max(float(each.abs().max()) for each in expected)
    assert max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) < 1e-5 * largest
    assert largest > 0.5


def test_gradients_go_back_through_a_borrowed_encoder(
    borrowing: ModelRegistry, folders: dict[str, Path]
) -> None:
    control, model = borrowing.control("lora"), borrowing.diffusion("tiny")
    unet, rng = model.networks[1], torch.Generator().manual_seed(0)
    read = control.read([canvas_of(torch.zeros(3, PX, PX, dtype=torch.uint8))])
    latents = torch.randn(1, 4, 16, 16, generator=rng).requires_grad_(True)
    context = torch.randn(1, 77, 32, generator=rng)
    added = control.additions(UNetCall(unet, latents, torch.tensor([500]), context), read)
    (gradient,) = torch.autograd.grad(torch.stack([each.sum() for each in added]).sum(), latents)
    assert float(gradient.abs().max()) > 0


Change = Callable[[dict[str, Tensor]], None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda each: each.pop("conv_in.lora_A.weight"), "conv_in has no two factors of one rank"),
        (
            lambda each: each.update({"up_blocks.0.x.weight": torch.ones(2)}),
            "1 of its tensors do not fit: up_blocks",
        ),
        (
            lambda each: each.update({"conv_in.bias": torch.ones(9)}),
            "1 of its tensors do not fit: conv_in.bias",
        ),
        (lambda each: each.pop("controlnet_mid_block.weight"), "no outlets as ControlNets"),
        (lambda each: each.pop("controlnet_down_blocks.0.bias"), "its outlets: 1 missing: 0.bias"),
        (lambda each: each.pop("controlnet_cond_embedding.conv_out.bias"), "its encoder of maps: 1 missing"),
        (lambda each: each["conv_in.bias"].fill_(torch.inf), "conv_in.bias has numbers that are not finite"),
    ],
)
def test_a_file_that_is_not_whole_or_of_another_model_is_refused(
    change: Change, said: str, lora: dict[str, Tensor], unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    tensors = {name: tensor.clone() for name, tensor in lora.items()}
    change(tensors)
    card = ControlCard(id="edges", path=described(tmp_path / "edges", tensors))
    with pytest.raises(ModelUnavailableError, match=said):
        load_control(card, CPU, Digests()).require_fit(Base(unet, 4, 2))


def test_a_control_lora_of_a_wider_model_or_of_other_maps_is_refused(
    lora: dict[str, Tensor], unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    control = load_control(ControlCard(id="edges", path=described(tmp_path / "edges", lora)), CPU, Digests())
    with pytest.raises(ModelUnavailableError, match="its list of widths is"):
        control.require_fit(Base(checkpoints.unet(block_out_channels=(32, 96)), 4, 2))
    with pytest.raises(ModelUnavailableError, match="its factor is 2, and this model's is 8"):
        control.require_fit(Base(unet, 4, 8))


def test_a_whole_controlnet_that_lacks_a_layer_is_not_filled_up_from_the_model(
    folders: dict[str, Path], unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    tensors = load_file(folders["edges"] / WEIGHTS)
    del tensors["mid_block.resnets.0.conv1.weight"]
    save_file(tensors, tmp_path / "edges.safetensors")
    control = load_control(ControlCard(id="edges", path=tmp_path / "edges.safetensors"), CPU, Digests())
    with pytest.raises(ModelUnavailableError, match=r"do not fit: mid_block.resnets.0.conv1.weight"):
        control.require_fit(Base(unet, 4, 2))


@pytest.mark.parametrize("name", ["some.safetensors", "some.pth"])
def test_one_file_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    save_file({"lora_unet_conv_in.alpha": torch.ones(1)}, tmp_path / name)
    with pytest.raises(ModelUnavailableError, match=r"no ControlNet|not a \.safetensors"):
        load_control(ControlCard(id="edges", path=tmp_path / name), CPU, Digests())


def test_the_names_of_the_original_release_are_what_diffusers_makes_of_them() -> None:
    with torch.device("meta"):
        network = ControlNetModel()
    tensors = {name: torch.full((1,), float(number)) for number, name in enumerate(network.state_dict())}
    original = {f"control_model.{name}": each for name, each in named_originally(tensors, 2, 4, 6).items()}
    assert is_original(original)
    ours = named_anew(original)
    theirs = convert_controlnet_checkpoint(original, {"layers_per_block": 2})
    assert ours.keys() == tensors.keys()
    assert {name: float(each) for name, each in ours.items()} == {
        name: float(each) for name, each in theirs.items() if each is not None
    }


def test_an_inpainting_unet_lends_the_layers_of_its_latents(
    unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    wide = copy.deepcopy(unet).requires_grad_(False)
    wide.conv_in.weight = torch.nn.Parameter(
        torch.cat([unet.conv_in.weight, torch.ones(32, 5, 3, 3)], 1), False
    )
    wide.conv_in.in_channels = 9
    lora = control_lora(unet, seed=3, factor=2)
    control: Control = load_control(ControlCard(id="e", path=described(tmp_path / "e", lora)), CPU, Digests())
    rng = torch.Generator().manual_seed(0)
    read = control.read([canvas_of(torch.zeros(3, PX, PX, dtype=torch.uint8))])
    inputs = (
        torch.randn(1, 4, 16, 16, generator=rng),
        torch.tensor([5]),
        torch.randn(1, 77, 32, generator=rng),
    )
    added = []
    for each in (unet.requires_grad_(False), wide):
        control.require_fit(Base(each, 4, 2))
        added.append(control.additions(UNetCall(each, *inputs), read))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*added, strict=True))
