"""What a model needs of the machine: memory beside what its networks take."""

from dataclasses import dataclass

import torch

from worker.models.device import Device

GIB = 2**30
# As docs/models.md#memory measures the peak of a worker: one batch of pictures of 512 px, and all else.
BATCH_GIB, REST_GIB, MEASURED_PX = 1.0, 1.25, 512


@dataclass(frozen=True)
class Needs:
    """Memory of a model with the CLIPs that each of its jobs uses.

    Attributes:
        networks_gib: what they take in the device's number format.
        total_gib: with one batch and all else.
        text: for people: both, and whether this machine has as much.
        fits: whether it has.
    """

    networks_gib: float
    total_gib: float
    text: str
    fits: bool


def needs_of(parameters: int, width: int, height: int, device: Device) -> Needs:
    """The memory of a model.

    Args:
        parameters: of its networks and of the CLIPs that each job uses.
        width: of its pictures in pixels.
        height: likewise.
        device: of this machine's worker.
    """
    networks = parameters * device.dtype.itemsize / GIB
    total = networks + BATCH_GIB * width * height / MEASURED_PX**2 + REST_GIB
    has, may = device.total_bytes() / GIB, device.model_bytes / GIB
    what = f"its networks and CLIPs take {networks:.2f} GiB as {device.dtype_name}, and a worker about {total:.1f} GiB"
    where = f"this machine's {_name(device)} has {has:.1f}"
    if total > has:
        verdict = "that does not fit: its jobs would fail for want of memory"
    elif networks > may:
        verdict = (
            f"models may take {may:.1f} here (LODESTAR_MODEL_MEMORY_GIB), so it would be alone in memory"
        )
    else:
        verdict = "it fits"
    return Needs(networks, total, f"{what}; {where}: {verdict}", total <= has)


def _name(device: Device) -> str:
    return torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else "memory"
