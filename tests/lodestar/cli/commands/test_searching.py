"""The command that finds pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from jobs.queue.queue import JobQueue
from jobs.requests.tasks import Place, QueryTask
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.segments import Segment, Segments
from tests.app.cli.conftest import settling
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker
from tests.app.samples import embedding_file, png


@pytest.fixture
def kept(
    run: Run,
    url: str,
    queue: JobQueue,
    worker: PlayedWorker,
    artifacts: ArtifactStore,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    """Three finished jobs, whose pictures lie along three axes; the first one's has an aesthetic score."""
    jobs = []
    for axis in range(3):
        run("generate", f"axis\t{axis}", "--wait", "0")
        lease = worker.claim(queue.list(limit=1).data[0].id)
        (image,) = worker.store(lease)
        scored = image.model_copy(update={"aesthetic_score": 5.5 if axis == 0 else None})
        worker.leases.succeed(lease, (scored,))
        row = [float(place == axis) for place in range(4)]
        segments = Segments(artifacts, "pocket-m")
        segments.write(*segments.encode(Segment.of(lease.job_id, lease.fence, {0: row})))
        jobs.append(lease.job_id)
    capsys.readouterr()
    return jobs


@pytest.fixture
def asked(worker: PlayedWorker) -> list[QueryTask]:
    """The queries that ``answer`` has answered."""
    return []


@pytest.fixture
def answer(worker: PlayedWorker, asked: list[QueryTask]) -> Callable[[str], None]:
    """Answer with an embedding between the first two axes, nearer to the second."""

    def settle(job_id: str) -> None:
        lease = worker.claim(job_id)
        assert isinstance(lease.request, QueryTask)
        asked.append(lease.request)
        worker.leases.answer(lease, Place(clip=lease.request.clip, vector=(0.6, 0.8, 0, 0)))

    return settle


def test_pictures_found_by_text_are_lines_that_a_pipe_can_cut(
    run: Run,
    kept: list[str],
    queue: JobQueue,
    asked: list[QueryTask],
    answer: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with settling(queue, answer):
        assert run("search", "mostly the second", "-n", "2") == 0
    assert capsys.readouterr() == (
        f"{kept[1]}/0\t0.8000\t\taxis 1\n{kept[0]}/0\t0.6000\t5.50\taxis 0\n",
        "",
    )
    assert [task.text for task in asked] == ["mostly the second"]
    assert run("search", "mostly the second", "--json") == 0  # the API remembers its place
    found = json.loads(capsys.readouterr().out)
    assert found["clip"] == "pocket-m"
    assert [hit["job_id"] for hit in found["data"]] == [kept[1], kept[0], kept[2]]


def test_an_aesthetic_score_moves_the_search(
    run: Run,
    kept: list[str],
    queue: JobQueue,
    artifacts: ArtifactStore,
    answer: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    towards_third = embedding_file("rating9", clip="pocket-m", vector=(0, 0, 5, 0))
    EmbeddingLibrary(artifacts).put("rating9", towards_third)
    with settling(queue, answer):
        assert run("search", "x", "--aesthetic-score", "9", "--aesthetic-weight", "2", "-n", "1") == 0
    # unit((0.6, 0.8, 2))
    assert capsys.readouterr().out == f"{kept[2]}/0\t0.8944\t\taxis 2\n"
    assert run("search", "x", "--aesthetic-score", "5") == 1
    assert "there is no aesthetic embedding 'rating5'" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["file", "job"])
def test_pictures_found_by_picture_are_written_to_a_folder(
    run: Run,
    kept: list[str],
    queue: JobQueue,
    asked: list[QueryTask],
    answer: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    by: str,
) -> None:
    Path("mine.png").write_bytes(png())
    Path("found").mkdir()
    picture = "mine.png" if by == "file" else f"{kept[2]}/0"
    with settling(queue, answer):
        assert run("search", "--picture", picture, "--limit", "2", "-o", "found") == 0
    paths = [f"found/{kept[1]}-0.png", f"found/{kept[0]}-0.png"]
    assert capsys.readouterr().out.splitlines() == paths
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (64, 64)
    (task,) = asked
    assert task.text is None
    assert (task.picture or "").startswith(kept[2]) is (by == "job")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give either a text or --picture"),
        (["apple", "--picture", "mine.png"], "give either a text or --picture"),
        (["apple", "--aesthetic-weight", "1"], "--aesthetic-weight needs --aesthetic-score"),
        (["apple", "--aesthetic-score", "10"], "--aesthetic-score"),
        (["apple", "-o", "nowhere"], "does not exist"),
    ],
)
def test_what_is_no_search_is_exit_code_2(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert run("search", *words) == 2
    assert complaint in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_picture_that_is_not_there_is_one_line(
    run: Run, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "--picture", "nowhere.png") == 1
    assert capsys.readouterr().err == "lodestar: cannot read nowhere.png: No such file or directory\n"
    assert run("search", "--picture", "f" * 24) == 1
    assert "there is no job" in capsys.readouterr().err
