"""Models whose weights are kept in 8 bits, or in the host's memory, beside the same models as they are."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.catalog.catalog import Catalog
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve
from tests.worker.models.predicting import predicted
from worker.engine.runner import Runner
from worker.engine.solo import generate
from worker.models.device import Device
from worker.models.families.denoiser import Denoiser
from worker.models.loader import Loader, Ref
from worker.models.loading.diffusion import load_diffusion
from worker.models.loading.files import weight_bytes
from worker.models.networks.int8 import linear_layers
from worker.models.networks.keeping import DECODER, TEXTS, Keeping, is_int8
from worker.models.registry import ModelRegistry
from worker.models.rows import blank
from worker.models.shared import SharedNetworks
from worker.sampling.inputs import SamplerInputs
from worker.settings import WorkerSettings

CPU = Device(WorkerSettings(device="cpu", dtype="fp32"))
INT8, OFFLOADED = Keeping(in_int8=True), Keeping(offloads=True)
X, TIME = torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([900, 200])


def registry(catalog: Catalog, **fields: Any) -> ModelRegistry:
    """The shipped models, of which the first has these fields."""
    first = catalog.models[0].model_copy(update=fields)
    return ModelRegistry(catalog.model_copy(update={"models": (first, *catalog.models[1:])}), CPU)


@pytest.fixture(scope="module")
def int8(pocket_catalog: Catalog) -> ModelRegistry:
    return registry(pocket_catalog, unet_weights="int8")


@pytest.fixture(scope="module")
def whole(pocket_catalog: Catalog) -> ModelRegistry:
    return registry(pocket_catalog)


@pytest.fixture(scope="module")
def offloaded(pocket_catalog: Catalog) -> Denoiser:
    return load_diffusion(pocket_catalog.models[0], CPU, keeping=OFFLOADED)


def unet_of(model: Denoiser) -> nn.Module:
    return next(network for network in model.networks if hasattr(network, "conv_in"))


def ask(models: ModelRegistry, **fields: Any) -> ResolvedRequest:
    wanted = {"prompt": "noto red apple on a light blue background", "seed": 7, "steps": 8, **fields}
    return resolve(GenerateRequest.model_validate(wanted), models.catalog)


def pixels(models: ModelRegistry, **fields: Any) -> Tensor:
    return generate(ask(models, **fields), Runner(models), SamplerInputs("pocket-m")).pixels


def test_8_bits_take_less_memory_and_hardly_change_an_output(
    int8: ModelRegistry, whole: ModelRegistry
) -> None:
    small, large = int8.diffusion("pocket"), whole.diffusion("pocket")
    assert is_int8(unet_of(small))
    assert not is_int8(unet_of(large))
    sizes = [sum(each.nbytes for each in unet_of(model).parameters()) for model in (small, large)]
    linear = sum(layer.weight.numel() for layer in linear_layers(unet_of(large)))
    assert sizes[1] - sizes[0] == pytest.approx(3 * linear, rel=0.05)
    text = large.encode_texts(["a fox", "a red apple"])
    one, other = (predicted(model, X, TIME, text) for model in (small, large))
    assert 0 < float((one - other).std()) < 0.01 * float(other.std())


@pytest.mark.parametrize("fields", [{}, {"adapters": [{"name": "ink"}]}, {"cfg_scale": 1}])
def test_pictures_with_8_bits_are_those_without_but_for_shades(
    fields: dict[str, Any], int8: ModelRegistry, whole: ModelRegistry
) -> None:
    one, other = pixels(int8, **fields), pixels(whole, **fields)
    assert 0 < float((one - other).abs().mean()) < 0.01


def test_rows_with_8_bits_do_not_depend_on_their_batch(int8: ModelRegistry) -> None:
    model = int8.diffusion("pocket")
    text = model.encode_texts(["a fox", "a red apple"])
    both = predicted(model, X, TIME, text)
    alone = [predicted(model, X[at : at + 1], TIME[at : at + 1], text[at : at + 1]) for at in range(2)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


def test_gradients_go_through_8_bits(int8: ModelRegistry) -> None:
    model = int8.diffusion("pocket")
    row = blank(model.facts.row, model.encode_texts(["a fox"]), (16, 16))
    x, given = X[:1], torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(1))
    pulled = model.pull_back(x, TIME[:1], model.rows([(row,)]), given)

    def along(step: float) -> float:
        moved = model.predict(x + step * pulled / pulled.norm(), TIME[:1], model.rows([(row,)]))
        return float((moved * given).sum())

    assert (along(1e-2) - along(-1e-2)) / 2e-2 == pytest.approx(float(pulled.norm()), rel=2e-2)


def test_models_that_keep_a_network_in_another_way_do_not_share_it(pocket_catalog: Catalog) -> None:
    shared, card = SharedNetworks(), pocket_catalog.models[0]
    plain = load_diffusion(card, CPU, shared)
    small = load_diffusion(card, CPU, shared, keeping=INT8)
    home = load_diffusion(card, CPU, shared, keeping=OFFLOADED)
    again = load_diffusion(card, CPU, shared)
    names = [{id(network) for network in model.networks} for model in (plain, small, home, again)]
    assert names[0] == names[3]
    assert names[0] & names[1] == {id(network) for network in plain.networks if network is not unet_of(plain)}
    assert names[0] & names[2] == {id(unet_of(plain))}
    assert not is_int8(unet_of(again))


def test_what_is_offloaded_is_on_the_device_within_its_block_alone(offloaded: Denoiser) -> None:
    unet = unet_of(offloaded)
    home = [
        tensor for network in offloaded.networks if network is not unet for tensor in network.parameters()
    ]
    places = [tensor.data_ptr() for tensor in home]
    with offloaded.holding(DECODER), offloaded.holding(DECODER), offloaded.holding(TEXTS):
        assert all(tensor.data_ptr() != place for tensor, place in zip(home, places, strict=True))
    assert [tensor.data_ptr() for tensor in home] == places
    with pytest.raises(RuntimeError, match="stop"), offloaded.holding(DECODER):
        raise RuntimeError("stop")
    assert [tensor.data_ptr() for tensor in home] == places


def test_an_offloaded_model_gives_the_same_bits(offloaded: Denoiser, whole: ModelRegistry) -> None:
    plain = whole.diffusion("pocket")
    texts = ["a fox", "a red apple"]
    assert torch.equal(offloaded.encode_texts(texts), plain.encode_texts(texts))
    assert torch.equal(offloaded.render(X), plain.render(X))

    def slope(model: Denoiser) -> Tensor:
        leaf = X.clone().requires_grad_(True)
        with model.holding(DECODER):
            (made,) = torch.autograd.grad(model.decode(leaf).square().sum(), leaf)
        return made

    assert torch.equal(slope(offloaded), slope(plain))


def test_the_room_that_a_model_needs_counts_what_is_on_the_device(pocket_catalog: Catalog) -> None:
    card = pocket_catalog.models[0]
    full, small, home = (weight_bytes(card, 4, keeping) for keeping in (Keeping(), INT8, OFFLOADED))
    assert full == Loader(pocket_catalog, CPU).bytes_of(Ref("model", card.id))
    assert small < full
    model = load_diffusion(card, CPU)
    unet = sum(each.nbytes for each in unet_of(model).parameters())
    assert home == pytest.approx(unet, rel=0.01)


def test_a_cpu_offloads_nothing(pocket_catalog: Catalog) -> None:
    card = pocket_catalog.models[0].model_copy(update={"offload": "encoders"})
    assert Keeping.of(card, torch.device("cpu")) == Keeping()
    assert Keeping.of(card, torch.device("cuda")) == OFFLOADED
