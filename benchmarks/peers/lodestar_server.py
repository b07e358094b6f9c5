"""This service as ``lodestar up`` runs it, on one port: ``python -m benchmarks.peers.lodestar_server PORT FOLDER``."""

import sys
from contextlib import suppress
from pathlib import Path

from app.stack import stack
from app.stack.supervisor import StopRequested
from benchmarks.places import CATALOG

if __name__ == "__main__":
    stack.WORKER = (sys.executable, "-P", "-m", "benchmarks.peers.lodestar_worker")
    options = stack.StackOptions("127.0.0.1", int(sys.argv[1]), Path(sys.argv[2]), CATALOG, workers=1)
    with suppress(StopRequested), stack.running_stack(options, say=print) as supervisor:
        supervisor.watch()
