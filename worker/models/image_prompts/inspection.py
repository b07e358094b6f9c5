"""Describes an IP-Adapter as JSON, for ``lodestar image-prompts add``.

``python -m worker.models.image_prompts.inspection FILE (--encoder FOLDER | --clip ID) --models-file FILE [--model
ID]...`` loads it with its encoder, and checks it against the models' networks by their configurations alone. It ends
with 1 and one line on stderr if it fits none of them or is no IP-Adapter.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.catalog.catalog import Catalog, load_catalog
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.errors import LodestarError
from worker.models.adapters.files import UNET
from worker.models.adapters.trying import Fit, try_on
from worker.models.device import Device
from worker.models.image_prompts.adapter import require_fit
from worker.models.image_prompts.loading import empty_network, load_image_prompt
from worker.models.shared import SharedNetworks
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class Inspection:
    """What is known of an IP-Adapter.

    Attributes:
        sha256: of its file, by the file's name.
        kind: ``base`` or ``Plus``.
        tokens: T, that it makes of a picture.
        attentions: number of the cross-attentions that it has keys for.
        fit: the models that it fits.
    """

    sha256: dict[str, str]
    kind: str
    tokens: int
    attentions: int
    fit: Fit


def inspect(card: ImagePromptCard, catalog: Catalog, models: tuple[str, ...]) -> Inspection:
    """Load an IP-Adapter with its encoder, and fit it to models.

    Args:
        card: of its files.
        catalog: of the models.
        models: ids of those to try; all if empty.

    Raises:
        ModelUnavailableError: it is no IP-Adapter, not for its encoder, or fits none of the models.
        UnknownModelError: the catalog does not hold a model or a CLIP.
    """
    shared = SharedNetworks()
    load_image_prompt(card, catalog, Device(WorkerSettings(device="cpu", dtype="fp32")), shared)
    network = empty_network(card.path)
    fit = try_on(catalog, models, lambda networks: require_fit(card.id, network, networks[UNET]))
    return Inspection(
        {card.path.name: shared.digests.of(card.path)},
        "Plus" if network.reads_states else "base",
        network.tokens,
        len(network.attentions),
        fit,
    )


def main() -> None:
    """Inspect, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="a .safetensors file")
    encoder = parser.add_mutually_exclusive_group(required=True)
    encoder.add_argument("--encoder", type=Path, help="a folder of a CLIPVisionModelWithProjection")
    encoder.add_argument("--clip", help="the id of a CLIP")
    parser.add_argument("--models-file", type=Path, required=True, help="the catalog")
    parser.add_argument("--model", action="append", default=[], help="a model to fit it to; all if left out")
    options = parser.parse_args()
    try:
        card = ImagePromptCard(id="inspected", path=options.path, encoder=options.encoder, clip=options.clip)
        found = inspect(card, load_catalog(options.models_file), tuple(options.model))
    except LodestarError as error:
        sys.exit(error.message)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
