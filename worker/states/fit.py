"""What has to be the same where a picture goes on: its request, the code, the kind of device, the weights."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import dump_request
from worker.states.state import VERSION

_LIBRARIES = ("torch", "diffusers", "transformers")
_SAMPLES = 8  # numbers of each tensor that stand for it
_digests: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def fit_of(request: ResolvedRequest, device: str) -> str:
    """The digest of all that decides a picture's bits, but for the weights.

    Args:
        request: of the job, with every default filled in.
        device: its kind, and the format of its numbers.
    """
    told = json.dumps([VERSION, dump_request(request), code_digest(), device])
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def code_digest() -> str:
    """The digest of the worker's code, and of the versions of the libraries that compute."""
    digest = hashlib.sha256(json.dumps([version(name) for name in _LIBRARIES]).encode())
    for file in sorted(_sources(files("worker")), key=str):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _sources(folder: Traversable) -> Iterable[Traversable]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _sources(each)
        elif each.name.endswith(".py"):
            yield each


def weights_digest(networks: Iterable[nn.Module]) -> str:
    """A digest that tells the weights of networks from any others: of a few numbers of each tensor."""
    return hashlib.sha256("".join(map(_digest_of, networks)).encode()).hexdigest()


def _digest_of(network: nn.Module) -> str:
    known = _digests.get(network)
    if known is None:
        sampled = [_sampled(tensor) for tensor in (*network.parameters(), *network.buffers())]
        numbers = torch.cat(sampled) if sampled else torch.empty(0)
        shapes = [list(tensor.shape) for tensor in network.parameters()]
        known = hashlib.sha256(json.dumps(shapes).encode() + numbers.numpy().tobytes()).hexdigest()
        _digests[network] = known
    return known


@torch.no_grad()
def _sampled(tensor: Tensor) -> Tensor:
    numbers = tensor.reshape(-1)
    return numbers[:: max(1, len(numbers) // _SAMPLES)][:_SAMPLES].to("cpu", torch.float64)
