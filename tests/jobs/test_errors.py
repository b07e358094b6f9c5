import inspect
import re

from jobs import errors
from jobs.errors import JobFailedError, LodestarError

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, LodestarError) and found is not LodestarError
]


def test_every_error_has_a_stable_type_of_its_own() -> None:
    types = [error.type for error in CLASSES]
    assert len(set(types)) == len(types) > 10
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in types)


def test_a_type_is_the_name_of_its_class() -> None:
    for error in CLASSES:
        words = re.findall(r"[A-Z][a-z]+", error.__name__.removesuffix("Error"))
        assert error.type == "_".join(words).lower()


def test_every_error_says_in_one_sentence_what_it_means() -> None:
    for error in CLASSES:
        assert error.__doc__ is not None
        assert re.fullmatch(r"[A-Z][^.]*(\.\w[^.]*)*\.", error.__doc__), error


def test_the_reasons_that_a_job_can_end_with_are_known() -> None:
    assert {error.type for error in CLASSES if issubclass(error, JobFailedError)} == {
        "attempts_exhausted",
        "clip_mismatch",
        "content_blocked",
        "deadline_exceeded",
        "invalid_file",
        "job_failed",
        "missing_extra",
        "model_unavailable",
        "out_of_memory",
    }


def test_an_error_carries_its_message_and_the_field_it_is_about() -> None:
    error = errors.InvalidRequestError("width 3 is too small", field="width")
    assert (str(error), error.message, error.field) == (
        "width 3 is too small",
        "width 3 is too small",
        "width",
    )
    assert errors.QueueFullError("full").field is None
