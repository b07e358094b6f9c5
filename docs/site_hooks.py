"""What mkdocs does beside building the pages of ``docs``: ``make docs``.

Pages link to files of the repository, and the notebook is not a page. Both are brought into the site, and their links
follow. A page that would load anything from another host is an error.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
OUTSIDE = "repository"  # the folder of the site for what lies outside docs/
FIRST = ("CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")  # what the navigation names
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"^(```.*?^```$)", re.M | re.S)
LOADS = re.compile(
    r"""<(?:script|link|img|iframe|source|video|embed)\b[^>]*\b(?:src|srcset|href)=["']?(?:https?:)?//[^>]*>"""
    r"""|@import\s[^;]*//[^;]*;|url\(\s*["']?(?:https?:)?//[^)]*\)"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebook as a page, and every file outside ``docs`` that pages lead to."""
    tour = json.loads((DOCS / "tour.ipynb").read_text("utf-8"))
    files.append(File.generated(config, "tour.md", content="\n\n".join(as_markdown(tour["cells"]))))
    files.append(File.generated(config, "site/icon.svg", abs_src_path=str(ROOT / "app/dashboard/icon.svg")))
    left = [*DOCS.glob("*.md"), *(ROOT / name for name in FIRST)]
    found = set(left)
    while left:
        source = left.pop()
        if not source.is_relative_to(DOCS):
            files.append(File.generated(config, place_of(source), abs_src_path=str(source)))
        if source.suffix == ".md":
            targets = {source.parent.joinpath(link[2]).resolve() for link in links(source.read_text("utf-8"))}
            new = {file for file in targets - found if file.is_file() and not file.is_relative_to(DOCS)}
            found |= new
            left += sorted(new)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links lead to where the site has their files."""
    here = page.file.src_uri
    source = ROOT / here.removeprefix(f"{OUTSIDE}/") if here.startswith(OUTSIDE) else DOCS / here

    def moved(link: re.Match[str]) -> str:
        target = source.parent.joinpath(link[2]).resolve()
        if "://" in link[2] or not target.is_file():
            return link[0]  # mkdocs says so if it leads nowhere
        return f"{link[1]}{posixpath.relpath(place_of(target), posixpath.dirname(here) or '.')}{link[3]}"

    parts = FENCE.split(markdown)
    return "".join(part if number % 2 else LINK.sub(moved, part) for number, part in enumerate(parts))


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Refuse a page that would load something from another host."""
    if (found := loaded_from_elsewhere(output)) is not None:
        raise PluginError(f"{page.file.src_uri} loads from another host: {found}")
    return output


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a style sheet that would."""
    for file in Path(config.site_dir).rglob("*.css"):
        if (found := loaded_from_elsewhere(file.read_text("utf-8"))) is not None:
            raise PluginError(f"{file} loads from another host: {found}")


def loaded_from_elsewhere(text: str) -> str | None:
    """What of a page or a style sheet makes a browser ask another host; None if nothing does."""
    found = LOADS.search(text)
    return found[0] if found else None


def place_of(file: Path) -> str:
    """Path of a file of the repository within the sources of the site."""
    if not file.is_relative_to(DOCS):
        return f"{OUTSIDE}/{file.relative_to(ROOT).as_posix()}"
    return file.relative_to(DOCS).with_suffix(".md" if file.suffix == ".ipynb" else file.suffix).as_posix()


def links(text: str) -> Iterator[re.Match[str]]:
    """Links of a page that lead to files, code blocks left out."""
    for part in FENCE.split(text)[::2]:
        yield from (link for link in LINK.finditer(part) if "://" not in link[2])


def as_markdown(cells: list[dict[str, Any]]) -> Iterator[str]:
    """The cells of a notebook, each with what it showed."""
    for cell in cells:
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(data["image/png"]).replace("\n", "")
                yield f'<img alt="what the cell shows" src="data:image/png;base64,{picture}">'
            elif shown := "".join(output.get("text", data.get("text/plain", ""))):
                yield f"```text\n{shown.rstrip()}\n```"
