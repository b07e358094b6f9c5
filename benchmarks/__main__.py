"""``python -m benchmarks [--quick] [--json FOLDER]``: every benchmark in turn, each in a process of its own.

With ``--json`` each writes its figures to ``FOLDER/NAME.json``. Exits with 1 when one of them does.
"""

import argparse
import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    "guidance_speed",
    "guidance_quality",
    "ladder",
    "aesthetics",
    "full_size",
    "real_shapes",
    "loading",
    "serving",
    "adapters",
    "queue",
    "quotas",
    "search",
    "idle",
    "marks",
    "networks",
    "scheduling",
    "neighbours",
    "chaos",
)


def main() -> None:
    """Run them all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the quick form of each")
    parser.add_argument(
        "--json", type=Path, metavar="FOLDER", help="write the figures of each to this folder"
    )
    options = parser.parse_args()
    if options.json:
        options.json.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in BENCHMARKS:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        command += ["--quick"] if options.quick else []
        command += ["--json", str(options.json / f"{name}.json")] if options.json else []
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
