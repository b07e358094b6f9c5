"""Calls of every operation of ``/openapi.json``, made and checked by schemathesis.

``python -m benchmarks.fuzz.calls.schema URL FILE SECONDS SEED`` writes its tally to FILE. It is a process of its own of
the low priority that it inherits: making up requests costs more than answering them.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckNode, ScenarioRecorder

from benchmarks.fuzz.calls.nowhere import leading_nowhere
from benchmarks.fuzz.findings.known import is_known
from benchmarks.fuzz.findings.tally import Call, Finding, Tally

# Each is made once from the examples and the schema's edges; what is made up at random comes in turns of this many for
# each operation, with sequences of operations in between, until the time is over.
EXAMPLES = 40
PATIENCE_S = 30.0


def config(seconds: int, seed: int) -> SchemathesisConfig:
    """All checks and phases; the same seed makes up the same requests, as far as answers do not lead elsewhere."""
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "max-time": seconds,
            "workers": 1,
            "continue-on-failure": True,
            "request-timeout": PATIENCE_S,
            "generation": {"max-examples": EXAMPLES, "database": "none", "no-shrink": True},
            "cache": {"enabled": False},  # what an earlier run has seen would change what this one sends
            # Or the commands that repeat a finding would lack their keys.
            "output": {"sanitization": {"enabled": False}},
            "operations": [
                # Without end: one event, or a second of silence, is all of it that is read.
                {"include-path": "/v1/events", "max-stream-events": 1, "request-timeout": 1.0},
                {"include-path": "/v1/jobs/{job_id}/events", "max-stream-events": 4, "request-timeout": 2.0},
            ],
        }
    )


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 -- its names are schemathesis' own
    """Let no address in a request lead anywhere; schemathesis calls this before each."""
    case.body, case.query = leading_nowhere(case.body), leading_nowhere(case.query)


def fuzz(url: str, seconds: int, seed: int) -> Tally:
    """Run it."""
    tally = Tally()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config(seconds, seed))
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _read(event.recorder, tally)
        elif isinstance(event, events.NonFatalError):
            tally.found(Finding("error of the run", event.label, _what(str(event.value)), ""))
        elif isinstance(event, events.FatalError):
            raise event.exception
    return tally


def _read(recorder: ScenarioRecorder, tally: Tally) -> None:
    for case_id, interaction in recorder.interactions.items():
        case, answer = recorder.cases[case_id].value, interaction.response
        operation = f"{case.method} {case.operation.path}"
        elapsed = answer.elapsed if answer else PATIENCE_S
        status = answer.status_code if answer else None
        tally.calls.append(Call(interaction.timestamp - elapsed, elapsed, operation, status))
        body = (answer.content or b"").decode(errors="replace") if answer else ""
        for check in recorder.checks.get(case_id, ()):
            _note(check, operation, body, tally)


def _note(check: CheckNode, operation: str, body: str, tally: Tally) -> None:
    failure = check.failure_info
    if failure is None or is_known(operation, check.name, f"{failure.failure}\n{body}"):
        return
    message = f"{_what(str(failure.failure))} | {_detail(body)}"
    tally.found(Finding(check.name, operation, message, "; ".join(failure.code_sample.splitlines())))


def _what(message: str) -> str:
    """Schemathesis's message of a failure, without the parts that all of its kind share."""
    lines = [line for line in message.splitlines() if line.strip()]
    return " ".join(
        line for line in lines if not line.startswith(("Expected:", "Hint:", "Valid data should"))
    )


def _detail(body: str) -> str:
    """The reason that a problem document gives, or the beginning of any other answer."""
    try:
        return str(json.loads(body)["detail"])[:300]
    except (ValueError, KeyError, TypeError):
        return " ".join(body[:300].split())


def main(arguments: list[Any]) -> None:
    """Run it and keep the tally."""
    url, file, seconds, seed = arguments
    started = time.monotonic()
    tally = fuzz(url, int(seconds), int(seed))
    print(f"schemathesis: {len(tally.calls)} calls in {time.monotonic() - started:.0f} s", file=sys.stderr)
    tally.write(Path(file))


if __name__ == "__main__":
    main(sys.argv[1:])
