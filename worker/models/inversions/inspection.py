"""Describes a textual inversion before it is added to the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jobs.catalog.catalog import Catalog
from worker.models.adapters.files import TEXT, TEXT_2
from worker.models.adapters.trying import Fit, try_on
from worker.models.inversions.files import inversion_file, read_inversion
from worker.models.inversions.words import Room
from worker.models.loading.digests import Digests


@dataclass(frozen=True)
class InversionInspection:
    """What is known of a textual inversion.

    Attributes:
        kind: tells it from what is known of an adapter.
        sha256: of its file, by the file's name.
        word: that stands for it, by its file.
        vectors: their number, for each text encoder.
        fit: the models that it fits.
    """

    kind: Literal["textual inversion"]
    sha256: dict[str, str]
    word: str
    vectors: int
    fit: Fit


def inspect_inversion(path: Path, catalog: Catalog, models: tuple[str, ...]) -> InversionInspection:
    """Read a textual inversion, and fit it to models.

    Args:
        path: its file or folder.
        catalog: of the models.
        models: ids of those to try; all if empty.

    Raises:
        ModelUnavailableError: it is none, or fits none of the models.
        UnknownModelError: the catalog does not hold one.
    """
    inversion, file = read_inversion(path), inversion_file(path)

    def require(networks: Mapping[str, Any]) -> None:
        configs = {name: networks[name].config for name in (TEXT, TEXT_2) if name in networks}
        inversion.require_fit(
            {
                name: Room(config.hidden_size, config.max_position_embeddings - 2)
                for name, config in configs.items()
            }
        )

    return InversionInspection(
        "textual inversion",
        {file.name: Digests().of(file)},
        inversion.word,
        inversion.count,
        try_on(catalog, models, require),
    )
