"""Entries leave the catalog's text, and all else stays."""

from pathlib import Path

import pytest

from app.cli.catalog_entries import without_entry
from jobs.errors import ConfigurationError

FILE = Path("models.toml")
TEXT = '''# The catalog.

[models.first]
path = "a"  # a folder

# Right above the second.
[ models . "second" ]
path = "b"
examples = [
    "one [models.third]",
    """
[models.second]
""",
]

[models.second.sha256]
"x.safetensors" = "0"

# About the third,
# in two lines.
[models.third]
path = "c"

# The end.
'''


def test_an_entry_goes_with_its_own_comment_and_its_tables() -> None:
    without = without_entry(TEXT, "models", "second", FILE)
    begin, end = TEXT.index("# Right above"), TEXT.index("# About the third")
    assert without == TEXT[:begin] + TEXT[end:]


def test_the_comments_at_the_end_and_at_the_head_stay() -> None:
    assert (
        without_entry(TEXT, "models", "third", FILE)
        == TEXT[: TEXT.index("# About the third")] + "# The end.\n"
    )
    first = without_entry(TEXT, "models", "first", FILE)
    assert first == "# The catalog.\n\n" + TEXT[TEXT.index("# Right above") :]


@pytest.mark.parametrize(
    "text",
    [
        'models.a.path = "x"\n[models.b]\npath = "y"\n',
        '[models]\na = { path = "x" }\nb = { path = "y" }\n',
        '[models.b]\npath = "y"\n[models]\na = { path = "x" }\n',
    ],
)
def test_an_entry_that_does_not_stand_by_itself_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.a does not stand by itself in models\.toml"):
        without_entry(text, "models", "a", FILE)


def test_windows_line_ends_stay() -> None:
    text = TEXT.replace("\n", "\r\n")
    assert without_entry(text, "models", "second", FILE).count("\r\n") > 5
