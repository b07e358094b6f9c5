"""Fits the factors of an adapter to the layers of a network in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from jobs.errors import ModelUnavailableError
from worker.models.adapters.factors import Adapter, Factors
from worker.models.adapters.files import UNET
from worker.models.adapters.original_names import original_names

UNMATCHED_SHARE = 0.05  # of an adapter's layers that the network may lack
FEW = 3  # layers that a refusal names


@dataclass(frozen=True, eq=False)
class Fitted:
    """An adapter for one network in memory.

    Attributes:
        adapter: as its file writes it.
        layers: its factors by the names of the network's layers; none where it leaves the network as it is.
        decomposed: weights of the layers for which it has magnitudes.
    """

    adapter: Adapter
    layers: Mapping[str, Factors]
    decomposed: Mapping[str, Tensor]

    @cached_property
    def rank(self) -> int:
        """The highest of its layers."""
        return max((factors.rank for factors in self.layers.values()), default=0)

    def gains(self, weight: float) -> dict[str, Tensor]:
        """What the outputs of layers are multiplied by if the adapter has a weight, [out], float32; see ``Factors``."""
        gains = ((name, self.layers[name].gain(own, weight)) for name, own in self.decomposed.items())
        return {name: gain for name, gain in gains if gain is not None}

    def change(self, layer: str, weight: float) -> Tensor:
        """What it adds to the weight of a layer, float32."""
        factors, own = self.layers[layer], self.decomposed.get(layer)
        added = weight * factors.product
        if own is None or (gain := factors.gain(own, weight)) is None:
            return added
        return gain.view(-1, *[1] * (own.ndim - 1)) * (own.float() + added) - own.float()


def changeable(network: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network that an adapter may change, by their names."""
    return {
        name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    }


def fitted(adapter: Adapter, part: str, network: nn.Module) -> Fitted:
    """An adapter for one network.

    Args:
        adapter: in memory.
        part: the network's name in ``adapter.parts``.
        network: of the model.

    Raises:
        ModelUnavailableError: it was made for another network: too many of its layers are missing here, or one has
            another shape.
    """
    given, own = adapter.parts.get(part, {}), {}
    decomposed: dict[str, Tensor] = {}
    layers = {_flat(name): (name, layer) for name, layer in changeable(network).items()}
    if part == UNET:
        originals = original_names(name for name, _ in layers.values())
        layers |= {_flat(original): layers[_flat(name)] for name, original in originals.items()}
    missing, misshapen = [], []
    for flat, factors in given.items():
        name, layer = layers.get(flat, ("", None))
        if layer is None:
            missing.append(flat)
            continue
        its = factors.for_layer(layer)
        if its is None:
            misshapen.append(name)
            continue
        own[name] = its
        if its.magnitude is not None:
            decomposed[name] = _weight_of(layer)
    if misshapen or len(missing) > UNMATCHED_SHARE * len(given):
        raise ModelUnavailableError(
            f"adapter {adapter.id!r} does not fit this model: of {len(given)} layers, "
            + " and ".join(
                f"{len(names)} {what} ({', '.join(names[:FEW])}{', ...' if len(names) > FEW else ''})"
                for names, what in ((missing, "are missing"), (misshapen, "have another shape"))
                if names
            )
        )
    return Fitted(adapter, own, decomposed)


def _weight_of(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)  # of every layer that is changeable
    return weight


def require_parts(adapter: Adapter, parts: Collection[str]) -> None:
    """Refuse an adapter of networks that a model does not have.

    Args:
        adapter: in memory.
        parts: names of the model's networks.

    Raises:
        ModelUnavailableError: it changes another one.
    """
    others = sorted(set(adapter.parts) - set(parts))
    if others:
        raise ModelUnavailableError(
            f"adapter {adapter.id!r} does not fit this model: it changes {', '.join(others)}, which this model lacks"
        )


def _flat(name: str) -> str:
    return name.removeprefix("text_model.").replace(".", "_")
