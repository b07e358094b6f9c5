"""The tables of figures in the model cards."""

from pathlib import Path

START, END = "<!-- figures -->", "<!-- /figures -->"


def write_figures(card: Path, table: str) -> None:
    """Put a table between the two marks of a card, in place of what is there."""
    before, _, rest = card.read_text().partition(START)
    _, _, after = rest.partition(END)
    card.write_text(f"{before}{START}\n{table}\n{END}{after}")
