"""Keys from a file."""

import os
from pathlib import Path

import pytest

from jobs.callers import key_file
from jobs.callers.key_file import KeyFile
from jobs.callers.scopes import SCOPES_OF, Role, Scope
from jobs.callers.secret import KeyText, draw_key
from jobs.errors import ConfigurationError


def entry(key: KeyText, **fields: str) -> str:
    given = {"role": '"client"', "name": '"farm"', **fields}
    lines = [f'id = "{key.id}"', f'sha256 = "{key.sha256}"', "created_at = 2026-01-01T00:00:00Z"]
    return "\n".join(["[[keys]]", *lines, *(f"{name} = {value}" for name, value in given.items()), ""])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file is. Each use looks whether it has changed."""
    monkeypatch.setattr(key_file, "LOOK_EVERY_S", 0.0)
    return tmp_path / "keys.toml"


def test_a_key_of_the_file_has_its_role_s_scopes(path: Path) -> None:
    key = draw_key()
    path.write_text(entry(key, tenant='"studio"'))
    record = KeyFile(path).get(key.id)
    assert record is not None
    assert record.matches(key)
    assert record.tenant == "studio"
    assert set(record.scopes) == SCOPES_OF[Role.CLIENT]


def test_a_key_of_the_file_may_name_its_scopes(path: Path) -> None:
    key = draw_key()
    path.write_text(entry(key).replace('role = "client"', 'scopes = ["metrics"]'))
    record = KeyFile(path).get(key.id)
    assert record is not None
    assert record.scopes == (Scope.METRICS,)


def test_a_change_counts_without_a_restart(path: Path) -> None:
    old, new = draw_key(), draw_key()
    path.write_text(entry(old))
    file = KeyFile(path)
    assert file.get(old.id)
    path.write_text(entry(new) + "\n")
    assert file.get(old.id) is None
    assert file.get(new.id)


def test_a_link_that_leads_elsewhere_is_a_change(path: Path, tmp_path: Path) -> None:
    keys = [draw_key(), draw_key()]
    for number, key in enumerate(keys):
        (tmp_path / f"{number}.toml").write_text(entry(key))
        os.utime(tmp_path / f"{number}.toml", (1, 1))
    path.symlink_to(tmp_path / "0.toml")
    file = KeyFile(path)
    (tmp_path / "next").symlink_to(tmp_path / "1.toml")
    (tmp_path / "next").replace(path)
    assert file.get(keys[0].id) is None
    assert file.get(keys[1].id)


@pytest.mark.parametrize("text", ["[[keys]]", "no toml", '[[keys]]\nid = "x"', None])
def test_a_change_that_cannot_be_read_leaves_the_former_keys(path: Path, text: str | None) -> None:
    key = draw_key()
    path.write_text(entry(key))
    file = KeyFile(path)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    assert file.get(key.id)
    path.write_text("")
    assert file.get(key.id) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no toml", "is no TOML"),
        ("[[keys]]", "keys.0.id"),
        (entry(draw_key(), sha256='"abc"'), "is no TOML"),
        (entry(draw_key(), colour='"red"'), "keys.0.colour"),
        (entry(draw_key(), role='"king"'), "keys.0"),
        (entry(draw_key(), scopes='["metrics"]'), "a role or scopes, not both"),
        (entry(KeyText("a" * 10, "b")) * 2, "two keys of the same id"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_at_the_start(path: Path, text: str | None, said: str) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        KeyFile(path)


def test_the_first_of_a_user_s_groups_in_the_file_counts(path: Path) -> None:
    path.write_text(
        '[[groups]]\nname = "admins"\nrole = "operator"\n'
        '[[groups]]\nname = "artists"\nrole = "client"\ntenant = "studio"\n'
    )
    file = KeyFile(path)
    both = file.group(["artists", "admins"])
    assert both is not None
    assert both.role is Role.OPERATOR
    one = file.group(["visitors", "artists"])
    assert one is not None
    assert one.tenant == "studio"
    assert file.group(["visitors"]) is None
