"""A worker that writes down each sampling step, so that none is forgotten when it is killed.

``python -m benchmarks.chaos.counting_worker``, with the settings of a worker and the file in ``CHAOS_STEPS``.
"""

import os
import sys

from benchmarks.chaos.service import STEPS_FILE
from worker.engine.work import Work
from worker.main import run
from worker.settings import WorkerSettings


def main() -> int:
    """Run a worker; its exit status."""
    steps = os.open(os.environ[STEPS_FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    note_step = Work.note_step

    def note(self: Work) -> None:
        os.write(steps, f"{self.id}\n".encode())
        note_step(self)

    Work.note_step = note  # type: ignore[method-assign]
    return run(WorkerSettings())


if __name__ == "__main__":
    sys.exit(main())
