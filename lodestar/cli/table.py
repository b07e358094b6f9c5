"""Rows of text for a person at a terminal, or for the next command of a pipe."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows on stdout: as a table on a terminal; elsewhere as lines without headings, with tabs between cells."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(" ".join(str(cell).split()) for cell in row))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading == headings[0], overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(table)
