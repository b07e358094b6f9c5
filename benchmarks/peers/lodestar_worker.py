"""Our own worker, which reports how busy it was like the other servers do."""

import sys

from benchmarks.peers.busy import report_busy_time
from worker.__main__ import main

if __name__ == "__main__":
    report_busy_time()
    sys.exit(main())
