"""The log of a child: bounded, private, and still right after it was cut."""

from pathlib import Path

import pytest

from app.stack.child_log import ChildLog


@pytest.fixture
def log(tmp_path: Path) -> ChildLog:
    """A log that may grow to 1000 bytes."""
    return ChildLog(tmp_path / "api.log", most_bytes=1000)


def say(log: ChildLog, *lines: str) -> None:
    with log.path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_it_and_what_was_put_aside_stay_within_their_bound(log: ChildLog) -> None:
    with log.open() as file:
        for number in range(1000):
            file.write(b"the same line again\n")
            file.flush()
            log.cut()
            sizes = [path.stat().st_size for path in log.path.parent.iterdir()]
            assert all(size <= 1020 for size in sizes), number


def test_a_process_goes_on_at_the_beginning_of_a_file_that_was_cut(log: ChildLog) -> None:
    with log.open() as file:
        file.write(b"x" * 1001)
        file.flush()
        log.cut()
        file.write(b"after\n")
    assert log.path.read_bytes() == b"after\n"
    assert log.path.with_name("api.log.1").read_bytes() == b"x" * 1000


def test_its_end_is_known_across_a_cut_and_only_that_of_the_present_process(log: ChildLog) -> None:
    log.open().close()
    say(log, "of the process before")
    log.open().close()
    say(log, *(f"line {number}" for number in range(120)))
    log.cut()
    assert log.tail(2) == ["line 118", "line 119"]
    say(log, "the last")
    assert log.tail(2) == ["line 119", "the last"]
    assert "of the process before" not in log.tail(1000)
    assert len(log.tail(1000)) > 110


def test_one_that_was_cut_right_after_a_start_tells_nothing_of_the_process_before(log: ChildLog) -> None:
    log.open().close()
    say(log, *["of the process before"] * 60)
    log.open().close()
    say(log, "first", "second")
    log.cut()
    assert log.tail(10) == ["first", "second"]
    log.open().close()
    assert log.tail(10) == []


def test_of_a_very_long_one_only_the_end_is_read(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "api.log")
    log.open().close()
    say(log, *["line"] * 100_000)
    assert 10_000 < len(log.tail(100_000)) < 20_000


def test_the_lines_that_are_passed_on_go_on_after_a_cut(log: ChildLog) -> None:
    log.open().close()
    say(log, "one", "two" * 500)
    assert log.unread() == ["one", "two" * 500]
    log.cut()
    assert log.unread() == []
    say(log, "three")
    assert log.unread() == ["three"]


def test_where_nothing_can_be_put_aside_it_is_cut_all_the_same(log: ChildLog) -> None:
    log.path.with_name("api.log.1").mkdir()  # as good as a full disk
    log.open().close()
    say(log, "x" * 2000)
    log.cut()
    assert log.path.stat().st_size == 0
    assert log.tail(5) == []


def test_one_that_somebody_removed_ends_nothing(log: ChildLog) -> None:
    log.open().close()
    log.path.unlink()
    log.cut()
    assert (log.tail(5), log.unread()) == ([], [])


def test_only_its_owner_may_read_it_even_if_an_older_one_was_open_to_all(tmp_path: Path) -> None:
    older = tmp_path / "api.log"
    older.write_text("of the run before\n")
    older.chmod(0o644)
    log = ChildLog(older, most_bytes=100)
    assert older.with_name("api.log.1").stat().st_mode & 0o777 == 0o600
    log.open().close()
    say(log, "more than a hundred bytes" * 5)
    log.cut()
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "api.log": 0o600,
        "api.log.1": 0o600,
    }


def test_of_the_run_before_no_more_is_kept_either(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("x" * 5000)
    ChildLog(tmp_path / "api.log", most_bytes=1000)
    assert (tmp_path / "api.log.1").stat().st_size == 1000
