"""However long what was sent is, the answer is not."""

import json

from app.api.problems.problem import MAX_ERRORS, FieldError, Problem, shortened


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = shortened("there is no model " + "x" * 1_000_000 + "; there are: pocket", 300)
    assert text.startswith("there is no model xxx")
    assert text.endswith("xxx; there are: pocket")
    assert len(text) <= 300
    assert shortened("a" * 300, 300) == "a" * 300


def test_what_cannot_be_printed_in_a_line_is_escaped() -> None:
    assert shortened("a\nb\x1b[1m\u2028\ud800", 100) == r"a\nb\x1b[1m\u2028\ud800"
    assert len(shortened("\x1b" * 1000, 100)) <= 100


def test_no_problem_is_longer_than_64_kib() -> None:
    for letter in ("a", "\N{RED APPLE}", "\0", "\ud800", '"', "\\"):
        error = FieldError(field=letter * 10**6, message=letter * 10**6, limit=1)
        problem = Problem(
            type="/errors/invalid_request",
            title="Invalid request",
            status=422,
            detail=letter * 10**6,
            request_id="1",
            errors=(error,) * 1000,
        )
        assert len(problem.errors) == MAX_ERRORS
        assert (
            len(json.dumps(problem.model_dump(mode="json"), ensure_ascii=False, indent=2).encode()) < 65_536
        )
