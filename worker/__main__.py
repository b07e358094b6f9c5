"""``python -m worker``."""

import sys

from worker.main import run
from worker.settings import WorkerSettings

if __name__ == "__main__":
    sys.exit(run(WorkerSettings()))
