"""The tally of calls, answers and findings."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{8,}|[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Call:
    """A request that was sent.

    Attributes:
        at: when, in seconds since 1970.
        seconds: until the whole answer was there.
        operation: method and path, as ``POST /v1/jobs``.
        status: of the answer; None if there was none.
    """

    at: float
    seconds: float
    operation: str
    status: int | None


@dataclass
class Finding:
    """Something wrong that was seen.

    Attributes:
        check: what does not hold.
        operation: where it was seen first.
        message: what was seen.
        repeat: a command that shows it again.
        count: how often its like was seen.
    """

    check: str
    operation: str
    message: str
    repeat: str
    count: int = 1

    @property
    def kind(self) -> tuple[str, str, str]:
        """The same for findings that differ in numbers and quoted names alone."""
        return self.check, self.operation, _VARYING.sub("*", self.message)[:200]


@dataclass
class Tally:
    """All calls and findings of a run or a part of it."""

    calls: list[Call] = field(default_factory=list)
    findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)

    def found(self, finding: Finding) -> None:
        """Note a finding; of its like, the first one's command is kept."""
        if known := self.findings.get(finding.kind):
            known.count += finding.count
        else:
            self.findings[finding.kind] = finding

    def add(self, other: "Tally") -> None:
        """Take over what another one holds."""
        self.calls += other.calls
        for finding in other.findings.values():
            self.found(finding)

    def by_class(self) -> dict[str, int]:
        """Number of calls by the first digit of their status."""
        return dict(sorted(Counter(_class_of(call.status) for call in self.calls).items()))

    def write(self, file: Path) -> None:
        """Keep it in a file."""
        whole = {"calls": [asdict(each) for each in self.calls], "findings": _plain(self.findings.values())}
        file.write_text(json.dumps(whole))


def read_tally(file: Path) -> Tally:
    """Read the tally of another process."""
    whole = json.loads(file.read_text())
    tally = Tally([Call(**each) for each in whole["calls"]])
    for each in whole["findings"]:
        tally.found(Finding(**each))
    return tally


def _class_of(status: int | None) -> str:
    return "no answer" if status is None else f"{status // 100}xx"


def _plain(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(each) for each in findings]
