"""Models of SDXL read no textual inversions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog.catalog import Catalog
from jobs.errors import ModelUnavailableError
from tests.worker.models.families import checkpoints
from tests.worker.models.families.xl import xl_card
from worker.models.inversions.inspection import inspect_inversion


@pytest.mark.parametrize(
    ("family", "make"),
    [("sdxl", checkpoints.stable_diffusion_xl), ("sdxl-refiner", checkpoints.stable_diffusion_xl_refiner)],
)
def test_an_inversion_fits_no_model_of_sdxl(
    family: str, make: Callable[[], Any], learned: dict[str, Path], pocket_catalog: Catalog, tmp_path: Path
) -> None:
    folder = checkpoints.written(make, tmp_path / "xl")
    catalog = Catalog(models=(xl_card(folder, family=family),), clips=pocket_catalog.clips)
    with pytest.raises(ModelUnavailableError, match="models of SDXL read no textual inversions"):
        inspect_inversion(learned["sks"], catalog, ())
