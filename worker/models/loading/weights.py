"""Fill a network with weights that are all of it: none missing, none left over, none of another shape, all finite."""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Module

from jobs.errors import ModelUnavailableError
from worker.models.device import Device

FEW = 3  # keys that a refusal names of each kind
# Tensors of files that no network needs.
_HARMLESS = re.compile(
    r"(.*\.)?position_ids"  # numbers from 0; older libraries stored them
    r"|model_ema\..*|loss\..*"  # left over from training
    # The rest of the CLIP that a text encoder was cut out of.
    r"|(text_projection(\.weight)?|logit_scale|vision_model\..*|visual_projection\..*)"
)

Shapes = Mapping[str, Sequence[int]]


def shapes_of(network: Module) -> dict[str, Sequence[int]]:
    """The shapes of the tensors that a network's file holds."""
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def fill(network: Module, tensors: Mapping[str, Tensor], what: str, device: Device) -> None:
    """Give a network that has no weights yet its own, as ``read_tensors`` loaded them.

    Args:
        network: its weights may be on the meta device.
        tensors: by the names of the network's, with or without the prefix ``text_model.``.
        what: the network, for messages: ``the UNet``.
        device: where to.

    Raises:
        ModelUnavailableError: they are not the weights of this network, or not finite.
        RuntimeError: the device has no room for them; see ``is_out_of_memory``.
    """
    own = {name: tensors[key].contiguous() for name, key in require_own(network, tensors, what).items()}
    network.load_state_dict(own, strict=True, assign=True)
    # Not diffusers' own, which warns of what it would keep in single precision, even if that is nothing.
    Module.to(network, device.device, device.dtype).eval().requires_grad_(False)
    require_finite(network, what)


def require_own(network: Module, tensors: Mapping[str, Tensor], what: str) -> dict[str, str]:
    """Refuse tensors that are not the weights of a network, by all but their numbers.

    Args:
        network: its weights may be on the meta device.
        tensors: on the meta device or not; named as for ``fill``.
        what: the network, for messages.

    Returns:
        The keys of the tensors by the network's names.

    Raises:
        ModelUnavailableError: they are not.
    """
    own = network.state_dict()
    names = {key.removeprefix("text_model."): key for key in own}
    given = {names.get(short := key.removeprefix("text_model."), short): key for key in tensors}
    require_fit(shapes_of(network), {name: tensors[key].shape for name, key in given.items()}, what)
    for name, tensor in own.items():
        if tensor.is_floating_point() and not tensors[given[name]].is_floating_point():
            raise ModelUnavailableError(
                f"{what} has {name} as {tensors[given[name]].dtype}, which is no float"
            )
    return {name: given[name] for name in own}


def require_fit(network: Shapes, file: Shapes, what: str) -> None:
    """Refuse weights by their names and shapes alone.

    Args:
        network: shapes of its own weights.
        file: shapes of the file's.
        what: the network, for messages.

    Raises:
        ModelUnavailableError: they differ; the message names the first that do.
    """
    unfit = misfit(network, file)
    if unfit:
        raise ModelUnavailableError(f"the weights are not those of {what}: {unfit}")


def misfit(network: Shapes, file: Shapes) -> str:
    """The difference between the weights of a file and of a network, in a few words; empty without one."""
    missing = [key for key in network if key not in file]
    unexpected = [key for key in file if key not in network and not _HARMLESS.fullmatch(key)]
    shaped = [
        f"{key} is {_by(file[key])} and should be {_by(network[key])}"
        for key in network
        if key in file and tuple(file[key]) != tuple(network[key])
    ]
    parts = ((missing, "missing"), (unexpected, "unexpected"), (shaped, "of another shape"))
    return "; ".join(f"{len(keys)} {kind}: {_few(keys)}" for keys, kind in parts if keys)


def require_finite(network: Module, what: str) -> None:
    """Refuse weights that are NaN or infinite, or became so in the format that the device computes in.

    Raises:
        ModelUnavailableError: some are, or were never filled in; the message names the first of them.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    empty = [name for name, tensor in tensors.items() if tensor.is_meta]
    if empty:
        raise ModelUnavailableError(f"{what} lacks {_few(empty)}")
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if not floats:
        return
    # A sum is finite only if all its terms are; one pass over the memory, and one answer from the device.
    sums = torch.stack([tensor.detach().sum(dtype=torch.float32) for tensor in floats.values()]).tolist()
    odd = [name for name, total in zip(floats, sums, strict=True) if not math.isfinite(total)]
    # An open_clip text tower masks its attention with -inf.
    bad = [name for name in odd if not name.endswith("attn_mask") and not bool(floats[name].isfinite().all())]
    if bad:
        dtype = str(floats[bad[0]].dtype).removeprefix("torch.")
        raise ModelUnavailableError(f"{what} has weights that are not finite in {dtype}: {_few(bad)}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (", ..." if len(names) > FEW else "")


def _by(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape) or "a number"
