"""The report of a run, for people."""

from rich.console import Console
from rich.table import Table

from benchmarks.fuzz.findings.verdict import MOST_BYTES, SLOWEST_HEALTHZ_S, Verdict

_SHOWN_CHARS = 600


def show(verdict: Verdict) -> None:
    """Print it."""
    say = Console(soft_wrap=True, markup=False, highlight=False).print
    table = Table("figure", "seen", "allowed", title=f"seed {verdict.seed}, {verdict.seconds:.0f} s")
    table.add_row("calls", f"{verdict.calls}: {_classes(verdict)}", "")
    table.add_row("answers 5xx, but refusals (501)", str(verdict.server_errors), "0")
    table.add_row("undocumented statuses", str(verdict.undocumented), "0")
    waited = f"{verdict.healthz_waited_s:.3f} s of it the API waited for a processor"
    slowest = f"{verdict.healthz_slowest_s:.3f} s ({waited})"
    table.add_row("slowest /healthz", slowest, f"{SLOWEST_HEALTHZ_S} s")
    table.add_row("other work on this machine", f"{verdict.others:.0%} of its processors", "")
    for name, size in verdict.peak_mb.items():
        table.add_row(f"peak memory of the {name}", f"{size} MB", f"{MOST_BYTES[name] >> 20} MB")
    table.add_row("findings", str(len(verdict.findings)), "0")
    say(table)
    for finding in verdict.findings:
        say(f"\n{finding.check}: {finding.operation} ({finding.count} times)")
        say(f"  {finding.message[:_SHOWN_CHARS]}")
        if finding.repeat:
            more = " ... (the whole is in --json)" if len(finding.repeat) > _SHOWN_CHARS else ""
            say(f"  {finding.repeat[:_SHOWN_CHARS]}{more}")
    say("")
    for violation in verdict.violations:
        say(f"BROKEN: {violation[:_SHOWN_CHARS]}")


def _classes(verdict: Verdict) -> str:
    return ", ".join(f"{number} {name}" for name, number in verdict.by_class.items())
