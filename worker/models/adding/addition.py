"""Finds, checks and fetches a model or a CLIP, for ``lodestar models add``.

``python -m worker.models.adding.addition SOURCE --models-file FILE`` writes the lines of ``reporting``. Its result has
the entries for the catalog, which the command writes.
"""

import argparse
from pathlib import Path

from jobs.catalog.catalog import load_catalog
from worker.models.adding.planning import carry_out, plan
from worker.models.adding.plans import Wishes
from worker.models.adding.reporting import Progresses, tell, told_failures
from worker.models.device import Device
from worker.models.loading.digests import Digests
from worker.settings import WorkerSettings


def main() -> None:
    """Find, check, fetch, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="a folder, a .safetensors file, or an id of the hub")
    parser.add_argument(
        "--models-file", type=Path, required=True, help="the catalog, which may not exist yet"
    )
    parser.add_argument("--name", help="the id of the entry")
    parser.add_argument("--variant", help="of the weights")
    parser.add_argument("--config", type=Path, help="for one file: a diffusers folder that describes it")
    parser.add_argument("--clip", help="its guide: an id of the catalog, or a source")
    parser.add_argument("--no-text-clip", action="store_true", help="without the CLIP of its text encoder")
    parser.add_argument("--dry-run", action="store_true", help="fetch no weights")
    options = parser.parse_args()
    wishes = Wishes(
        options.source, options.name, options.variant, options.config, options.clip, not options.no_text_clip
    )
    with told_failures():
        settings = WorkerSettings()
        catalog = load_catalog(options.models_file) if options.models_file.exists() else None
        planned = plan(wishes, catalog, Device(settings))
        if options.dry_run:
            tell("found", entries=[], missing_bytes=planned.missing_bytes)
            return
        entries = carry_out(planned, Digests(settings.cache_dir / "digests"), Progresses())
        tell("found", entries=entries, missing_bytes=0)


if __name__ == "__main__":
    main()
