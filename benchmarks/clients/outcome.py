"""What came of a call that a client made."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Result = Literal["works", "not served", "fails"]


@dataclass(frozen=True)
class Outcome:
    """One line of the table.

    Attributes:
        client: and its version.
        call: by its name in the client.
        result: ``not served`` is a refusal that the documentation announces.
        why: the refusal or the failure, in the client's or the service's words.
        page: of ``docs/``, with its heading, that says that the call is not served.
    """

    client: str
    call: str
    result: Result
    why: str = ""
    page: str = ""


def read_outcomes(client: str, file: Path) -> list[Outcome]:
    """Those that a program has written, one JSON object a line."""
    if not file.exists():
        return []
    return [Outcome(client=client, **json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The calls that neither work nor are refused as documented."""
    return [outcome for outcome in outcomes if outcome.result == "fails"]


def written(outcomes: Iterable[Outcome]) -> str:
    """As JSON."""
    return json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n"
