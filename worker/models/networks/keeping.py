"""How the weights of a model are kept where memory is short: some in 8 bits, some in the host's memory until needed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jobs.catalog.models import ModelCard
from worker.models.adapters.files import TEXT, TEXT_2, UNET
from worker.models.networks.int8 import Int8Linear, to_int8

KEEPING = "keeping"  # among the parts of a checkpoint
VAE = "vae"
TEXTS, DECODER = "texts", "decoder"  # what a block needs of a model


@dataclass(frozen=True)
class Keeping:
    """What a catalog's entry asks for.

    Attributes:
        in_int8: the weights of the UNet's linear layers are whole numbers of 8 bits, with a scale for each output.
        offloads: text encoders and VAE lie in the host's memory but while they run.
    """

    in_int8: bool = False
    offloads: bool = False

    @classmethod
    def of(cls, card: ModelCard, device: torch.device) -> "Keeping":
        """That of a model on a device; a CPU's memory is the host's, so nothing is offloaded from it."""
        return cls(
            in_int8=card.unet_weights == "int8", offloads=card.offload == "encoders" and device.type != "cpu"
        )

    def is_home(self, part: str) -> bool:
        """Whether a part of a checkpoint lies in the host's memory."""
        return self.offloads and part in (TEXT, TEXT_2, VAE)

    def is_own(self, part: str) -> bool:
        """Whether a part is kept in another way than other models keep it, so that they cannot share it."""
        return self.is_home(part) or (self.in_int8 and part == UNET)

    def apply(self, part: str, network: nn.Module) -> None:
        """Bring a filled network into its form, in the host's memory."""
        if self.in_int8 and part == UNET:
            to_int8(network)


class Offload:
    """Networks in the host's memory, which come to the device for as long as they are needed.

    Only the engine's thread uses them. On CUDA the copies and what reads them are in one stream, so memory that is
    given back is not written before.
    """

    def __init__(self, device: torch.device, networks: Iterable[nn.Module]) -> None:
        """Keep networks that lie in the host's memory where the device reads them directly, if it does."""
        self._device = device
        for tensor in _tensors(networks) if device.type == "cuda" else ():
            tensor.data = tensor.data.pin_memory()
        self._here: set[int] = set()  # ids of tensors

    @contextmanager
    def here(self, networks: Iterable[nn.Module]) -> Iterator[None]:
        """Have networks on the device within the block; blocks may lie within each other."""
        coming = [tensor for tensor in _tensors(networks) if id(tensor) not in self._here]
        homes = [tensor.data for tensor in coming]
        self._here |= {id(tensor) for tensor in coming}
        try:
            for tensor, home in zip(coming, homes, strict=True):
                tensor.data = home.to(self._device, non_blocking=True, copy=True)
            yield
        finally:
            for tensor, home in zip(coming, homes, strict=True):
                tensor.data = home
            self._here -= {id(tensor) for tensor in coming}


def is_int8(network: nn.Module) -> bool:
    """Whether some layers of a network are in 8 bits."""
    return any(isinstance(layer, Int8Linear) for layer in network.modules())


def _tensors(networks: Iterable[nn.Module]) -> list[Tensor]:
    each = (tensor for network in networks for tensor in (*network.parameters(), *network.buffers()))
    return list({id(tensor): tensor for tensor in each}.values())
