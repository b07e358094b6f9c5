"""Names of folders that a shell, a URL, a glob, a line of a list or a configuration would read as something else."""

import os

import pytest

HOSTILE_NAMES = [
    pytest.param(name, id=f"{number}-{what}")
    for number, (what, name) in enumerate(
        {
            "blank": "My Projects",
            "outer blanks": " x ",
            "tab": "a\tb",
            "newline": "a\nb",
            "return": "a\rb",
            "control": "a\x01b",
            "quotes": 'it\'s "so"',
            "escape": "a\\nb",
            "hash": "#1",
            "percent": "a%20b%",
            "query": "what?a=b&c",
            "equals": "a=b",
            "at": "a@b:c",
            "chain": "zip::s3",
            "scheme": "file:x",
            "glob": "*[ab]{c,d}",
            "shell": "$HOME;`x`|~",
            "option": "--dir",
            "letters": "Größe 日本 🍎",
            "bytes": os.fsdecode(b"caf\xe9 \xff"),
            "long": "/".join(["x" * 200] * 15),
        }.items()
    )
]
"""Each as pytest takes a parameter."""

MOST_OF_THEM = ' it\'s a\t"mad"\n#1? %20 a=b::s3 *[ab] $HOME; \\n é日本🍎 '
"""A name that has most of it together, and is text."""
