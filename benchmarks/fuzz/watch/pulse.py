"""Asks for ``/healthz`` every 50 ms and writes how long it took.

``python -m benchmarks.fuzz.watch.pulse URL FILE PID`` is a process of its own, of normal priority and with few imports,
so that the figures are the server's, not the client's. Each line of the file is JSON: ``at`` (seconds since 1970),
``seconds`` until the answer, ``ok``, and for how many of them the main thread of process PID, the API's, ``computed``
or ``waited`` for a processor that others had. Linux alone tells the last two; elsewhere they are 0.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

EVERY_S = 0.05
PATIENCE_S = 60.0


def ask(host: str, port: int) -> tuple[float, bool]:
    """One request on a connection of its own: seconds, and whether the answer was 200."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        return time.perf_counter() - start, answer.status == 200
    except (OSError, http.client.HTTPException):
        return time.perf_counter() - start, False
    finally:
        connection.close()


def times(pid: str) -> tuple[float, float]:
    """Seconds that the main thread of a process has computed and waited for a processor."""
    try:
        computed, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except OSError:
        return 0.0, 0.0
    return int(computed) / 1e9, int(waited) / 1e9


def main() -> None:
    """Ask until the process is ended."""
    url, file, pid = sys.argv[1:]
    address = urlsplit(url)
    with Path(file).open("w", buffering=1) as out:
        while True:
            at, before = time.time(), times(pid)
            seconds, ok = ask(str(address.hostname), address.port or 80)
            computed, waited = (after - earlier for after, earlier in zip(times(pid), before, strict=True))
            beat = {"at": at, "seconds": seconds, "computed": computed, "waited": waited, "ok": ok}
            out.write(json.dumps(beat) + "\n")
            time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
