"""The examples of docs/client.md, one after the other, against the real stack."""

import doctest
import re
from pathlib import Path

import pytest

from tests.integration.stack import ROOT, Stack

PAGE = ROOT / "docs" / "client.md"


def test_the_examples_of_the_client_s_page_are_true(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LODESTAR_URL", stack.url)
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S))
    text = text.replace("http://127.0.0.1:8000", stack.url)
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 30
    result = doctest.DocTestRunner(verbose=False).run(page)

    assert result.failed == 0, capsys.readouterr().out
