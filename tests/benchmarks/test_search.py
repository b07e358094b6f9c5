"""The benchmark of the search, with few vectors."""

import json
import subprocess
import sys
from pathlib import Path


def test_its_queries_list_nothing_and_find_the_nearest(tmp_path: Path) -> None:
    file, folder = tmp_path / "figures.json", tmp_path / "kept"
    command = [
        sys.executable,
        "-m",
        "benchmarks.search",
        "--vectors",
        "2000",
        "--width",
        "32",
        "--queries",
        "50",
    ]
    command += ["--folder", str(folder), "--json", str(file)]
    subprocess.run(command, check=True, timeout=200)
    figures = json.loads(file.read_text())
    assert figures["pictures indexed"] == 2000
    assert figures["listings of all queries"] == 0
    assert figures["recall@10"] == 1
    assert figures["one by one, p99, ms"] > 0
