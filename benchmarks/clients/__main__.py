"""Runs the real clients of other services, unmodified, against a service of its own: ``make clients``.

``python -m benchmarks.clients [--only NAME] [--write] [--json FILE] [--lock]``. Installs every client in an environment
of its own, by pinned versions, starts ``lodestar up`` with one worker and keys, gives each client a key, makes its
calls and prints a table: client, call, and whether it works, is refused as the documentation says, or fails.
``--write`` puts the table into ``docs/clients.md``. Exits with 1 if a call fails.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clients.environments import InstallationError, lock
from benchmarks.clients.outcome import Outcome, failures, written
from benchmarks.clients.pictures import write_pictures
from benchmarks.clients.roster import CLIENTS
from benchmarks.clients.running import command_of, run
from benchmarks.clients.service import keyed_service
from benchmarks.clients.table import counts, table, write_table


def run_all(names: Sequence[str]) -> list[Outcome]:
    """Install the clients, start the service, and make all calls.

    Raises:
        InstallationError: an environment cannot be made.
    """
    for name in names:
        print(f"installing {name}", file=sys.stderr)
        command_of(CLIENTS[name])
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder, keyed_service(Path(folder)) as service:
        for number, name in enumerate(names):
            print(f"running {name}", file=sys.stderr)
            place = Path(folder) / f"client-{number}"
            place.mkdir()
            write_pictures(place)
            outcomes += run(name, CLIENTS[name], service.url, service.key_of(name), place)
    return outcomes


def main() -> None:
    """Run, print the table, write it if asked; exit with 1 when a call failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", choices=CLIENTS, action="append", help="this client; may come several times"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/clients.md")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    parser.add_argument("--lock", action="store_true", help="resolve the versions again, and run nothing")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write takes all clients")
    try:
        if options.lock:
            lock()
            return
        outcomes = run_all(options.only or list(CLIENTS))
    except InstallationError as error:
        sys.exit(str(error))
    print(table(outcomes))
    print(counts(outcomes))
    if options.json:
        options.json.write_text(written(outcomes), encoding="utf-8")
    if options.write:
        write_table(outcomes)
    if failures(outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
