"""The pure parts of the fuzz run: a seed makes the same calls, and the verdict names every broken promise."""

import base64
import io
import json
import pickletools
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from PIL import Image

from app.api.dialects.a1111.extras.routes import ResizeOne
from app.api.dialects.openai.request import ImageGeneration
from app.api.main import create_app
from app.api.settings import ApiSettings
from benchmarks.fuzz.calls.bodies import bodies, fitting
from benchmarks.fuzz.calls.drawing import draw
from benchmarks.fuzz.calls.nowhere import leading_nowhere
from benchmarks.fuzz.calls.odd_bodies import LIMIT_BYTES, odd_bodies
from benchmarks.fuzz.calls.picture_calls import send_to_dialects
from benchmarks.fuzz.calls.sender import Sender
from benchmarks.fuzz.corpus.named import picture_texts
from benchmarks.fuzz.corpus.pictures import pictures
from benchmarks.fuzz.corpus.png import RGB, black
from benchmarks.fuzz.corpus.sample import Sample
from benchmarks.fuzz.corpus.weights import weights
from benchmarks.fuzz.findings.documented import Documented
from benchmarks.fuzz.findings.known import KNOWN, is_known
from benchmarks.fuzz.findings.tally import Call, Finding, Tally, read_tally
from benchmarks.fuzz.findings.verdict import Seen, verdict_on
from benchmarks.fuzz.watch.probes import Beat

CALL = Call(10.0, 0.1, "GET /v1/jobs", 200)
BEAT = Beat(10.0, 0.01, 0.0, 0.0, ok=True)
FINDING = Finding("not_a_server_error", "GET /v1/search", "it was answered with 500", "curl -i ...")
SCHEMA = ImageGeneration.model_json_schema()
DOCUMENT: dict[str, Any] = {"paths": {"/v1/jobs": {"get": {"responses": {"200": {}, "422": {}, "503": {}}}}}}


@pytest.fixture(scope="module")
def corpus() -> list[Sample]:
    return [*pictures(Random(0)), *weights(Random(0), Path("/nowhere/RAN"))]


def seen(*findings: Finding, **changes: Any) -> Seen:
    tally = Tally([CALL] * 10)
    for finding in findings:
        tally.found(finding)
    usual: dict[str, Any] = {
        "seed": 0,
        "seconds": 1.0,
        "tally": tally,
        "beats": [BEAT],
        "peak_bytes": {"api": 1 << 20, "worker": 1 << 20},
        "least_calls": 10,
    }
    return Seen(**{**usual, **changes})


def test_the_corpus_is_the_same_for_the_same_seed(corpus: list[Sample]) -> None:
    again = [*pictures(Random(0)), *weights(Random(0), Path("/nowhere/RAN"))]
    assert again == corpus
    assert next(pictures(Random(1))) != next(pictures(Random(0)))


def test_the_files_of_the_corpus_have_names_of_their_own(corpus: list[Sample]) -> None:
    names = [sample.name for sample in corpus]
    assert len(set(names)) == len(names) > 150


def test_the_pictures_that_must_be_served_can_be_read(corpus: list[Sample]) -> None:
    readable = [each for each in corpus if each.fit and not each.name.startswith("vector.")]
    assert len(readable) > 10
    for sample in readable:
        with Image.open(io.BytesIO(sample.data)) as image:
            image.load()


def test_a_small_file_announces_a_large_picture() -> None:
    data = black(1000, 1000, RGB, 8)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (1000, 1000)
    assert len(data) < 5000


def test_the_pickles_that_would_run_call_the_system(corpus: list[Sample]) -> None:
    (sample,) = (each for each in corpus if each.name == "runs-2.pt")
    told = io.StringIO()
    pickletools.dis(sample.data, told)
    assert "system" in told.getvalue()
    assert "touch '/nowhere/RAN'" in told.getvalue()


def test_odd_bodies_are_the_same_for_the_same_seed_and_most_are_within_the_limit() -> None:
    first, again = ([*odd_bodies(Random(3), {"prompt": "a"})] for _ in range(2))
    assert first == again
    assert [each.about for each in first if len(each.data) > LIMIT_BYTES] == ["a longer body than is read"]


def made_up(strategy: Any) -> list[Any]:
    drawn: list[Any] = []
    draw(strategy, 60, 0, drawn.append)
    return drawn


def test_bodies_are_the_same_for_the_same_seed() -> None:
    assert made_up(bodies(SCHEMA)) == made_up(bodies(SCHEMA))


def test_a_fitting_body_has_what_the_model_needs_and_nothing_else() -> None:
    for body in made_up(fitting(SCHEMA, SCHEMA["$defs"])):
        assert "prompt" in body
        assert set(body) <= SCHEMA["properties"].keys()


def test_some_bodies_are_wrong() -> None:
    drawn = made_up(bodies(SCHEMA))
    assert any(not isinstance(body, dict) or not set(body) <= SCHEMA["properties"].keys() for body in drawn)


def test_a_run_without_a_fault_breaks_no_promise() -> None:
    verdict = verdict_on(seen())
    assert verdict.violations == []
    assert verdict.by_class == {"2xx": 10}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"least_calls": 11}, "only 10 calls"),
        ({"operations": ["GET /v1/jobs", "GET /v1/queue"]}, "never called: GET /v1/queue"),
        ({"beats": []}, "never asked"),
        ({"beats": [BEAT, Beat(10.0, 0.26, 0.2, 0.0, ok=True)]}, "took 0.26 s"),
        ({"beats": [BEAT, Beat(10.0, 0.01, 0.0, 0.0, ok=False)]}, "failed after"),
        ({"peak_bytes": {"api": 9 << 30}}, "the api held 9216 MB"),
        ({"peak_bytes": {"worker": 9 << 30}}, "the worker held 9216 MB"),
        ({"restarts": ["worker-1 ended with exit code 1; starting it again"]}, "a process ended"),
        ({"errors": ['{"event": "request failed", "request_id": "1"}']}, "an error was logged"),
    ],
)
def test_every_broken_promise_is_seen(changes: dict[str, Any], fault: str) -> None:
    (violation,) = verdict_on(seen(**changes)).violations
    assert fault in violation


def test_a_logged_error_is_told_with_its_reason_and_once_for_its_kind() -> None:
    logged = [
        json.dumps(
            {
                "event": "it failed",
                "night": night,
                "exception": "Traceback ...\n  File ...\nTimeoutError: 2 s",
            }
        )
        for night in ("a", "b")
    ]
    (violation,) = verdict_on(seen(errors=logged)).violations
    assert violation == "an error was logged: it failed: TimeoutError: 2 s"


def test_a_finding_breaks_a_promise_and_is_counted() -> None:
    verdict = verdict_on(
        seen(FINDING, Finding("status_code_conformance", "GET /v1/jobs", "418 is not documented", ""))
    )
    assert (verdict.server_errors, verdict.undocumented) == (1, 1)
    assert len(verdict.violations) == 2


def test_a_slow_pulse_names_the_call_that_was_under_way() -> None:
    slow = Beat(9.0, 2.0, 0.0, 0.0, ok=True)
    tally = Tally([CALL, Call(1.0, 0.1, "GET /metrics", 200)])
    (violation,) = verdict_on(seen(beats=[slow], tally=tally, least_calls=1)).violations
    assert "during GET /v1/jobs" in violation
    assert "metrics" not in violation


def test_findings_that_differ_in_numbers_and_names_alone_are_one() -> None:
    tally = Tally()
    for number in range(3):
        tally.found(Finding("check", "GET /", f"'file-{number}': {number} is wrong", f"curl {number}"))
    (finding,) = tally.findings.values()
    assert (finding.count, finding.repeat) == (3, "curl 0")


def test_a_tally_that_another_process_wrote_is_read_as_it_was(tmp_path: Path) -> None:
    tally = Tally([CALL])
    tally.found(FINDING)
    tally.write(tmp_path / "tally.json")
    assert read_tally(tmp_path / "tally.json") == tally


@pytest.mark.parametrize(
    ("operation", "status", "check"),
    [
        ("GET /v1/jobs", 200, None),
        ("GET /v1/jobs", 404, "status_code_conformance"),
        ("GET /v1/jobs", 503, "not_a_server_error"),
        ("GET /v1/jobs", None, "no answer"),
        ("POST /sdapi/v1/txt2img", 422, None),
        ("POST /sdapi/v1/img2img", 501, None),
        ("POST /v1/predictions", 501, "not_a_server_error"),
        ("POST /v1/files", 201, None),
    ],
)
def test_a_status_is_held_against_what_is_documented(
    operation: str, status: int | None, check: str | None
) -> None:
    fault = Documented(DOCUMENT).fault_of(operation, status)
    assert (fault and fault[0]) == check


def test_a_caller_s_own_deadline_is_no_fault() -> None:
    documented = Documented(DOCUMENT)
    assert documented.fault_of("POST /v1/images/generations", 500, "deadline_exceeded") is None
    assert documented.fault_of("POST /v1/images/generations", 500, "job_failed") is not None


@pytest.mark.parametrize(
    ("sent", "led"),
    [
        ("https://example.com/a?b=c", "https://lodestar.invalid/a?b=c"),
        ("http://me:secret@example.com:81", "http://me:secret@lodestar.invalid"),
        ("HTTP:example.com", "HTTP:lodestar.invalid"),
        ("a red apple", "a red apple"),
        ([{"url": "https://1.2.3.4/"}, 7], [{"url": "https://lodestar.invalid/"}, 7]),
    ],
)
def test_no_made_up_address_leads_to_anybody_s_server(sent: Any, led: Any) -> None:
    assert leading_nowhere(sent) == led


def test_an_exception_passes_over_its_own_answer_alone() -> None:
    answer = json.dumps({"detail": "width 8 is outside what model 'pocket' can make"})
    assert is_known("POST /v1/jobs", "positive_data_acceptance", answer)
    assert not is_known("POST /v1/jobs", "positive_data_acceptance", "something else")
    assert not is_known("POST /v1/jobs", "not_a_server_error", answer)
    assert not is_known("GET /v1/jobs", "positive_data_acceptance", answer)


@pytest.mark.parametrize(
    ("methods", "known"), [("DELETE", True), ("DELETE, GET", True), ("DELETE, PUT", False)]
)
def test_the_methods_of_a_job_are_those_of_a_call_for_many(methods: str, known: bool) -> None:
    told = f"`Allow: ...` does not match the schema.\n\nUndocumented methods advertised: {methods}\n\nList exactly"
    assert is_known("OPTIONS /v1/jobs/delete", "allow_header_conformance", told) is known


def test_every_exception_has_a_reason() -> None:
    assert all(known.why and known.operations for known in KNOWN)


def test_every_exception_is_of_a_call_that_there_is(models_file: Path, tmp_path: Path) -> None:
    settings = ApiSettings(models_file=models_file, artifacts_url=str(tmp_path))
    there_is = Documented(create_app(settings).openapi()).operations
    paths = {operation.partition(" ")[2] for operation in there_is}
    for operation in {operation for known in KNOWN for operation in known.operations}:
        method, _, path = operation.partition(" ")
        # The other methods are those that a description has no word for.
        assert (path in paths) if method in {"OPTIONS", "QUERY"} else (operation in there_is), operation


def test_bodies_of_calls_with_pictures_carry_real_ones() -> None:
    schema = ResizeOne.model_json_schema()
    sent = [body["image"] for body in made_up(fitting(schema, {}))]
    assert sum(picture in picture_texts()[:6] for picture in sent) > 5
    assert picture_texts() == picture_texts()
    for text in picture_texts()[:4]:
        assert Image.open(io.BytesIO(base64.b64decode(text))).size == (48, 32)


class Recorded(Sender):
    """Sends nothing, and answers as it is told."""

    def __init__(self, status: int) -> None:
        super().__init__("http://lodestar.invalid", Documented(DOCUMENT), Tally())
        self.status = status
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, operation: str, path: str, about: str = "", **options: Any) -> httpx.Response | None:
        self.sent.append((operation, options))
        request = httpx.Request("POST", f"http://lodestar.invalid{path}")
        return httpx.Response(self.status, json={"id": "a"}, request=request)


def test_every_call_that_takes_a_picture_is_sent_files(corpus: list[Sample]) -> None:
    sender, chance = Recorded(200), Random(0)
    for sample in corpus[:60]:
        send_to_dialects(sender, sample, chance, fit=None)
    called = {operation for operation, _ in sender.sent}
    assert called >= {
        *(f"POST /v1/images/{name}" for name in ("edits", "variations")),
        *(f"POST /sdapi/v1/{name}" for name in ("img2img", "extra-single-image", "extra-batch-images")),
        *(f"POST /sdapi/v1/{name}" for name in ("png-info", "interrogate")),
        "POST /v1/files",
    }
    forms = [options["files"] for operation, options in sender.sent if "/images/" in operation]
    assert any("mask" in files for files in forms)


@pytest.mark.parametrize(("status", "fit", "check"), [(422, True, "right"), (200, False, "wrong")])
def test_a_file_that_is_answered_wrongly_is_found(
    corpus: list[Sample], status: int, fit: bool, check: str
) -> None:
    sender = Recorded(status)
    for seed in range(9):
        send_to_dialects(sender, corpus[0], Random(seed), fit=fit)
    assert sender.tally.findings
    assert all(f"a {check} file is" in finding.check for finding in sender.tally.findings.values())
