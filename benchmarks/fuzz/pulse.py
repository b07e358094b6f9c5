"""Asks for ``/healthz`` every 50 ms and writes how long it took: ``python -m benchmarks.fuzz.pulse URL FILE``.

A process of its own, of normal priority and with few imports, so that the figures are the server's, not the client's.
Each line of the file is JSON: ``at`` (seconds since 1970), ``seconds`` until the answer, ``late`` (how much later than
asked for the system let this process go on) and ``ok``.
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
    except OSError:
        return time.perf_counter() - start, False
    finally:
        connection.close()


def main() -> None:
    """Ask until the process is ended."""
    address, late_s = urlsplit(sys.argv[1]), 0.0
    with Path(sys.argv[2]).open("w", buffering=1) as out:
        while True:
            at = time.time()
            seconds, ok = ask(str(address.hostname), address.port or 80)
            out.write(json.dumps({"at": at, "seconds": seconds, "late": late_s, "ok": ok}) + "\n")
            before = time.perf_counter()
            time.sleep(EVERY_S)
            late_s = time.perf_counter() - before - EVERY_S


if __name__ == "__main__":
    main()
