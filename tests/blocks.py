"""The code blocks of the documentation, and what each says of how it is run.

A comment on the line above a block, which no reader sees, takes it out of the run of all others: ``run by`` names the
test that runs it, ``not run`` gives one of ``REASONS``. ``<!-- python run by: TEST -->`` says so of all blocks of a
page in that language.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "lodestar/README.md")),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "models").rglob("README.md"),
    ]
)
# Each reason, and what a block has to be for it to be believed.
REASONS = {
    "configures another program": r"^nginx\n",
    "downloads weights": r"lodestar assets pull|lodestar up --models sd15\.toml|lodestar models add",
    "installs": r"pip install|make (demo|up)\b",
    "needs a cluster": r"helm install|lodestar ray up",
    "needs a card": r"make bench-gpu|--model sd15",
    "needs Docker": r"docker compose",
    "needs weights that the repository lacks": r"image.prompt|openai-256",
    "runs until Ctrl-C": r"^sh\nlodestar watch +#[^\n]*\n$",
    "takes a minute": r"--model pocket-pixels",
    "shows an answer": r"^(json|text|)\n",
}
_BLOCK = re.compile(r"^(?:<!-- ([^\n]*) -->\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
_WHOLE = re.compile(r"^<!-- (\w+) run by: (\w+) -->$", re.M)
_TAG = re.compile(r"(run by|not run): (.+)")


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        page: its file, relative to the repository.
        language: as its fence says; empty without one.
        run_by: name of the test that runs it, or None.
        reason: why it is not run, or None.
    """

    page: str
    language: str
    code: str
    run_by: str | None
    reason: str | None

    @property
    def is_run_here(self) -> bool:
        """Whether neither another test nor a reason takes it out."""
        return self.run_by is None and self.reason is None


def blocks() -> Iterator[Block]:
    """All blocks of all pages.

    Raises:
        ValueError: a comment above a block is none of the two.
    """
    for file in PAGES:
        text, page = file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix()
        whole = dict(_WHOLE.findall(text))
        for comment, language, code in _BLOCK.findall(text):
            tag = _TAG.fullmatch(comment)
            if comment and tag is None and "map:" not in comment:
                raise ValueError(f"{page}: what is <!-- {comment} -->?")
            kind, value = tag.groups() if tag else ("", "")
            run_by = value if kind == "run by" else whole.get(language)
            yield Block(page, language, code, run_by, value if kind == "not run" else None)
