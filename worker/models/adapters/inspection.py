"""Describes an adapter or a textual inversion as JSON, for ``lodestar adapters add``.

``python -m worker.models.adapters.inspection FILE --models-file FILE [--model ID]...`` checks it against the models
that it is said to be made for, by their configurations alone. It ends with 1 and one line on stderr if it fits none of
them, or is neither.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.errors import LodestarError
from jobs.requests.conditions.adapters import AdapterKind
from worker.models.adapters.description import Description, described
from worker.models.adapters.factors import Adapter
from worker.models.adapters.fitting import fitted, require_parts
from worker.models.adapters.loading import file_of, read_adapter
from worker.models.adapters.trying import Fit, try_on
from worker.models.device import Device
from worker.models.inversions.files import is_inversion
from worker.models.inversions.inspection import inspect_inversion
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class Inspection:
    """What is known of an adapter.

    Attributes:
        kind: of the adapter.
        sha256: of its file, by the file's name.
        ranks: lowest and highest of its layers.
        layers: their number, by network.
        fit: the models that it fits.
        description: what the file says of itself.
    """

    kind: AdapterKind
    sha256: dict[str, str]
    ranks: tuple[int, int]
    layers: dict[str, int]
    fit: Fit
    description: Description


def inspect(path: Path, catalog: Catalog, models: tuple[str, ...]) -> Inspection:
    """Read an adapter, and fit it to models.

    Args:
        path: its file or folder.
        catalog: of the models.
        models: ids of those to try; all if empty.

    Raises:
        ModelUnavailableError: it is no adapter, or fits none of the models.
        UnknownModelError: the catalog does not hold one.
    """
    digests = Digests()
    device = Device(WorkerSettings(device="cpu", dtype="fp32"))
    adapter = read_adapter(path.name, path, device, digests)
    fit = try_on(catalog, models, partial(_require, adapter))
    file = file_of(path)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() or {}
    ranks = [factors.rank for layers in adapter.parts.values() for factors in layers.values()]
    return Inspection(
        adapter.kind,
        {file.name: digests.of(file)},
        (min(ranks), max(ranks)),
        {part: len(layers) for part, layers in adapter.parts.items()},
        fit,
        described(metadata),
    )


def _require(adapter: Adapter, networks: Mapping[str, Any]) -> None:
    require_parts(adapter, networks)
    for part, network in networks.items():
        fitted(adapter, part, network)


def main() -> None:
    """Inspect, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="its file, or a folder of diffusers or PEFT")
    parser.add_argument("--models-file", type=Path, required=True, help="the catalog")
    parser.add_argument("--model", action="append", default=[], help="a model to fit it to; all if left out")
    options = parser.parse_args()
    try:
        inspected = inspect_inversion if is_inversion(options.path) else inspect
        found = inspected(options.path, load_catalog(options.models_file), tuple(options.model))
    except LodestarError as error:
        sys.exit(error.message)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
