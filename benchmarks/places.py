"""Paths of the files that benchmarks read."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
CATALOG = ROOT / "models.toml"
