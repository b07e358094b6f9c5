"""Compare a run with the service's promises."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.fuzz.findings.tally import Call, Finding, Tally
from benchmarks.fuzz.watch.probes import Beat

SLOWEST_HEALTHZ_S = 0.25
MOST_BYTES = {"api": 768 << 20, "worker": 2 << 30}
SHOWN_BEATS = 5
LEAST_CALLS = 5000  # of a whole run; fewer prove little


@dataclass
class Seen:
    """The observations of a run.

    Attributes:
        seed: of everything that was made up.
        seconds: that it took, the start of the service not counted.
        tally: of all calls.
        beats: answers of ``/healthz``.
        peak_bytes: the most memory that each process has held.
        restarts: what was said of each process that ended.
        errors: lines that were logged as errors.
        operations: that it should have called.
        others: part of the machine that other work took meanwhile.
        least_calls: that it should have made.
    """

    seed: int
    seconds: float
    tally: Tally
    beats: Sequence[Beat]
    peak_bytes: dict[str, int]
    restarts: Sequence[str] = ()
    errors: Sequence[str] = ()
    operations: Sequence[str] = ()
    others: float = 0.0
    least_calls: int = LEAST_CALLS


@dataclass
class Verdict:
    """The result of the run, with each broken promise."""

    seed: int
    seconds: float
    calls: int
    by_class: dict[str, int]
    server_errors: int
    undocumented: int
    healthz_slowest_s: float
    healthz_waited_s: float
    peak_mb: dict[str, int]
    others: float
    findings: list[Finding]
    violations: list[str] = field(default_factory=list)


def verdict_on(seen: Seen) -> Verdict:
    """Compare the run with the promises."""
    findings = sorted(seen.tally.findings.values(), key=lambda each: (each.check, each.operation))
    slowest = max(seen.beats, key=lambda beat: beat.seconds, default=Beat(0.0, 0.0, 0.0, 0.0, ok=False))
    verdict = Verdict(
        seed=seen.seed,
        seconds=round(seen.seconds, 1),
        calls=len(seen.tally.calls),
        by_class=seen.tally.by_class(),
        server_errors=_number(findings, "not_a_server_error"),
        undocumented=_number(findings, "status_code_conformance"),
        healthz_slowest_s=round(slowest.seconds, 3),
        healthz_waited_s=round(slowest.waited, 3),
        peak_mb={name: size >> 20 for name, size in seen.peak_bytes.items()},
        others=round(seen.others, 3),
        findings=findings,
    )
    verdict.violations = [
        *_faults(seen),
        *(f"{each.count} x {each.check}: {each.operation}" for each in findings),
    ]
    return verdict


def _number(findings: Sequence[Finding], check: str) -> int:
    return sum(each.count for each in findings if each.check == check)


def _faults(seen: Seen) -> list[str]:
    calls = len(seen.tally.calls)
    faults = [f"a process ended: {line}" for line in seen.restarts]
    faults += [f"an error was logged: {line[:300]}" for line in dict.fromkeys(map(_event, seen.errors))]
    if calls < seen.least_calls:
        faults.append(f"only {calls} calls were made, {seen.least_calls} prove something")
    called = {call.operation for call in seen.tally.calls}
    if missed := [operation for operation in seen.operations if operation not in called]:
        faults.append(f"never called: {', '.join(missed)}")
    faults += _faults_of_pulse(seen)
    faults += [
        f"the {name} held {size >> 20} MB, more than {MOST_BYTES[name] >> 20}"
        for name, size in seen.peak_bytes.items()
        if size > MOST_BYTES[name]
    ]
    return faults


def _faults_of_pulse(seen: Seen) -> list[str]:
    """The worst of the answers that came too late, or were wrong."""
    if not seen.beats:
        return ["/healthz was never asked"]
    wrong = [beat for beat in seen.beats if beat.seconds > SLOWEST_HEALTHZ_S or not beat.ok]
    return [
        f"/healthz {'took' if beat.ok else 'failed after'} {beat.seconds:.2f} s, of which the API computed "
        f"{beat.computed:.2f} s and waited {beat.waited:.2f} s for a processor, "
        f"{beat.at - seen.beats[0].at:.0f} s into the run, during {during(beat, seen.tally.calls)}"
        for beat in sorted(wrong, key=lambda beat: (beat.ok, -beat.seconds))[:SHOWN_BEATS]
    ]


def _event(line: str) -> str:
    """What a logged line tells of, and the last line of its traceback, without what differs within its kind."""
    try:
        logged = json.loads(line)
    except ValueError:
        return line
    return ": ".join([str(logged.get("event")), *str(logged.get("exception", "")).strip().splitlines()[-1:]])


def during(beat: Beat, calls: Sequence[Call]) -> str:
    """The operations that were under way, or had just ended, while ``/healthz`` was slow."""
    ended = beat.at + beat.seconds
    near = {call.operation for call in calls if call.at <= ended and call.at + call.seconds >= beat.at}
    return ", ".join(sorted(near)[:5]) or "no call of this run"
