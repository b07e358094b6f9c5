"""The processes of one machine."""

from pathlib import Path

import pytest

from app.stack.stack import StackOptions, worker_spec

OPTIONS = StackOptions("127.0.0.1", 8000, Path("data"), Path("models.toml"))


def test_a_worker_is_not_killed_within_the_grace_that_the_operator_gave_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LODESTAR_GRACE_S", raising=False)
    # The compose file gives 30 s, and the server ends last.
    assert 3 < worker_spec(1, OPTIONS, {}).grace_s < 20
    monkeypatch.setenv("LODESTAR_GRACE_S", "30")
    spec = worker_spec(1, OPTIONS, {})
    assert spec.env["LODESTAR_GRACE_S"] == "30"
    assert spec.grace_s > 30
    monkeypatch.setenv("LODESTAR_GRACE_S", "soon")
    assert (
        worker_spec(1, OPTIONS, {}).env["LODESTAR_GRACE_S"] == "soon"
    )  # which the worker refuses with its own words
