"""Checkpoints of guided diffusion give, converted, what their own network gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jobs.catalog.catalog import Catalog
from jobs.catalog.models import ModelCard
from jobs.errors import ModelUnavailableError
from tests.worker.models.conversion.adm_network import GuidedDiffusionUNet, randomised
from tests.worker.models.variants import load
from worker.models.adding.planning import carry_out, plan
from worker.models.adding.plans import Wishes
from worker.models.conversion.folder import convert
from worker.models.device import Device
from worker.models.families.pixels import PixelDiffusion
from worker.models.loading.digests import Digests
from worker.models.rows import blank
from worker.rows import Rows
from worker.settings import WorkerSettings

HEAD = 16
KINDS: dict[str, dict[str, Any]] = {
    "as published at 256 px": {},
    "half as wide at the first level, as at 512 px": {"base": 64, "multipliers": (0.5, 1, 1)},
    "no learned variance": {"learns_variance": False},
    "convolutions change the resolution": {"blocks_resample": False},
    "the time is added": {"scales": False},
    "one block a level, attention everywhere": {"layers": 1, "attention": (0, 1, 2)},
    "attention in the middle alone": {"attention": ()},
    "one level": {"multipliers": (1,), "attention": (0,)},
}


def written(folder: Path, **kind: Any) -> tuple[GuidedDiffusionUNet, Path]:
    """A random network, and its weights as they are published."""
    network = randomised(GuidedDiffusionUNet(head=HEAD, **kind))
    assert isinstance(network, GuidedDiffusionUNet)
    file = folder / "diffusion.pt"
    torch.save(network.state_dict(), file)
    return network, file


def largest_difference(network: GuidedDiffusionUNet, folder: Path) -> float:
    """Between the outputs of a network and of a converted folder, as the worker runs it."""
    model = load(folder, family="pixels", cfg_scale=1.0)
    assert isinstance(model, PixelDiffusion)
    rng = torch.Generator().manual_seed(1)
    x, times = torch.randn(3, 3, 32, 32, generator=rng), torch.tensor([0, 417, 999])
    with torch.no_grad():
        wanted = network(x, times)[:, :3]
        rows = model.rows([_row(model)] * 3)
        made = model.predict(x, times, rows)
    assert wanted.std() > 0.05
    return float((made - wanted).abs().max() / wanted.std())


def _row(model: PixelDiffusion) -> Rows:
    return (blank(model.facts.row, model.encode_texts([""]), (32, 32)),)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_converted_checkpoint_gives_the_outputs_of_the_published_network(
    kind: dict[str, Any], tmp_path: Path
) -> None:
    network, file = written(tmp_path, **kind)
    convert(file, tmp_path / "m", 32, HEAD)
    assert largest_difference(network, tmp_path / "m") < 1e-4


def test_the_order_of_an_attention_cannot_be_seen_so_the_wrong_one_shows_in_the_outputs(
    tmp_path: Path,
) -> None:
    network, file = written(tmp_path, new_order=True)
    convert(file, tmp_path / "new", 32, HEAD, is_legacy=False)
    convert(file, tmp_path / "old", 32, HEAD)
    assert largest_difference(network, tmp_path / "new") < 1e-4
    assert largest_difference(network, tmp_path / "old") > 1e-2


def test_safetensors_are_read_too_and_half_precision_stays(tmp_path: Path) -> None:
    network, _ = written(tmp_path)
    file = tmp_path / "diffusion.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, file)
    convert(file, tmp_path / "m", 32, HEAD)
    assert largest_difference(network, tmp_path / "m") < 2e-2


class Harmful:
    """An object that a careless reader would run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return print, ("run",)


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda state: {name: tensor for name, tensor in state.items() if not name.startswith(key)}


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a class": (lambda state: state | {"label_emb.weight": torch.zeros(10, 128)}, "told a class"),
    "another network": (lambda _: {"conv.weight": torch.zeros(3)}, "has no time_embed.0.weight"),
    "a block is missing": (_without("input_blocks.4."), "no input_blocks.4"),
    "a tensor is missing": (_without("input_blocks.1.0.out_layers.0.weight"), "norm2.weight is missing"),
    "a tensor too many": (lambda state: state | {"extra.weight": torch.zeros(1)}, "without a place"),
    "another shape": (
        lambda state: state | {"out.2.bias": torch.zeros(7)},
        r"conv_out.bias is \[7\] where \[6\]",
    ),
    "something pickled": (lambda state: state | {"x": Harmful()}, "cannot be read as tensors alone"),
    "a list": (lambda state: list(state.values()), "something else than named tensors"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path
) -> None:
    network, file = written(tmp_path)
    torch.save(change(dict(network.state_dict())), file)
    with pytest.raises(ModelUnavailableError, match=said):
        convert(file, tmp_path / "m", 32, HEAD)
    assert not (tmp_path / "m").exists()


def test_heads_that_divide_no_attention_and_a_folder_that_exists_are_refused(tmp_path: Path) -> None:
    _, file = written(tmp_path)
    with pytest.raises(ModelUnavailableError, match="heads of 48 channels do not divide"):
        convert(file, tmp_path / "m", 32, 48)
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelUnavailableError, match="exists already"):
        convert(file, tmp_path / "m", 32, HEAD)


def test_a_converted_folder_is_added_with_the_defaults_of_its_family(
    tmp_path: Path, pocket_catalog: Catalog
) -> None:
    _, file = written(tmp_path)
    convert(file, tmp_path / "m", 64, HEAD)
    wishes = Wishes(str(tmp_path / "m"), clip="pocket-m")
    cpu = Device(WorkerSettings(device="cpu", dtype="fp32"))
    ((_, name, fields),) = carry_out(plan(wishes, pocket_catalog, cpu), Digests(), lambda *_: None)
    card = ModelCard.model_validate({"id": name, **fields})
    assert (card.family, card.width, card.multiple_px, card.cfg_scale) == ("pixels", 64, 8, 1)
    assert card.guidance is not None
    assert card.guidance.preset == "crowson"
    assert card.sampler == "ddim"
