"""``python -m worker``."""

import sys

from pydantic import ValidationError

from jobs.wording import wording
from worker.main import EX_CONFIG, run
from worker.settings import WorkerSettings


def main() -> int:
    """Run a worker with the settings of the environment; the exit status."""
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "LODESTAR_" + "_".join(str(part) for part in first["loc"]).upper()
        print(f"lodestar worker: {name}: {wording(first)}", file=sys.stderr)
        return EX_CONFIG
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
