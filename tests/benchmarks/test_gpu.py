"""The measurements of a card run everywhere, in small, and lose no figure."""

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

import benchmarks.gpu.__main__ as gpu
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Report


@pytest.mark.slow("builds and runs tiny networks of every kind")
def test_every_part_runs_in_small_and_gives_a_rule_with_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert gpu.main(["--small", "--json", str(file)]) == 0
    parts = json.loads(file.read_text())
    assert list(parts) == list(gpu.PARTS)
    for name, part in parts.items():
        assert part["error"] is None, name
        assert part["rules"], name
        assert not [values for values in part["figures"].values() if "error" in values], name
    printed = capsys.readouterr().out
    assert all(rule["rule"][:30] in printed for part in parts.values() for rule in part["rules"])
    assert parts["engine"]["figures"]["ddim, 2 pictures"]["device_ms"] > 0


def test_without_a_cuda_device_it_says_so_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "figures.json"
    assert gpu.main(["env", "--json", str(file)]) == 2
    assert "no CUDA device, and these parts need one: env; --small" in capsys.readouterr().err
    assert not file.exists()


def test_a_part_that_is_not_known_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["units", "--small"])
    said = capsys.readouterr().err
    assert "no part is called 'units'" in said
    assert "attention" in said


def test_a_part_that_fails_ends_no_other_and_keeps_what_it_had_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(bench: Bench) -> None:
        bench.report.figure("first", lambda: {"ms": 1.5})
        raise RuntimeError("the card is away")

    monkeypatch.setitem(gpu.PARTS, "unet", ("a call", fail))
    file = tmp_path / "figures.json"
    assert gpu.main(["unet", "env", "--small", "--json", str(file)]) == 1
    parts = json.loads(file.read_text())
    assert parts["unet"]["figures"] == {"first": {"ms": 1.5}}
    assert parts["unet"]["error"] == "RuntimeError: the card is away"
    assert parts["env"]["error"] is None


def test_figures_are_written_after_each_part(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    report = Report(Console(), file)
    for number in range(3):
        report.begin(f"part {number}", "something")
        report.figure("time", lambda: {"ms": 1.0})
        report.end(0.1)
        assert len(json.loads(file.read_text())) == number + 1


def test_what_a_device_cannot_do_is_a_finding() -> None:
    def refuse() -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore")

    report = Report(Console(), None)
    report.begin("vae", "decoding")
    assert report.figure("16 pictures", refuse) == {
        "error": "OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB"
    }
    assert not report.has_failed
