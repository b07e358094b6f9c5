"""The tree stays one that a newcomer finds their way in: small modules, short functions, small rooms, a true map."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 40  # without the docstring
MAX_MODULES = 15  # of one folder
# Loops of maths that read better whole, and commands: their parameters are their options, one a line.
WHOLE: set[tuple[str, str]] = {("lodestar/cli/commands/pictures.py", "generate")}
CODE = ("app", "jobs", "lodestar", "worker", "benchmarks", "training", "docs")


def modules(*endings: str) -> list[Path]:
    files = (file for folder in CODE for ending in endings for file in (ROOT / folder).rglob(f"*{ending}"))
    return sorted(file for file in files if "__pycache__" not in file.parts)


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    told = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if told else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def overlong(file: Path) -> Iterator[str]:
    """What is too long of a module, each with its number of lines."""
    text = file.read_text(encoding="utf-8")
    if (lines := len(text.splitlines())) > MAX_MODULE_LINES:
        yield f"{name(file)}: {lines}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = length(node)
            if lines > MAX_FUNCTION_LINES and (name(file), node.name) not in WHOLE:
                yield f"{name(file)}:{node.name}: {lines}"


def test_modules_and_their_functions_are_short() -> None:
    files = modules(".py")
    assert len(files) > 500
    assert [each for file in files for each in overlong(file)] == []


def test_no_folder_has_more_modules_than_one_takes_in_at_a_glance() -> None:
    counted = Counter(file.parent for file in modules(".py", ".js") if file.name != "__init__.py")
    assert {name(folder): count for folder, count in counted.items() if count > MAX_MODULES} == {}


def test_a_package_says_nothing_of_its_own() -> None:
    # But for the client, whose package is what people import from.
    speaking = [name(file) for file in modules("__init__.py") if file.read_text(encoding="utf-8")]
    assert speaking == ["lodestar/__init__.py"]


def test_the_map_of_the_code_is_true() -> None:
    command = [sys.executable, "-m", "docs.make_map", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
